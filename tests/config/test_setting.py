"""One declaration gives the check and its words."""

from dataclasses import dataclass

import pytest

from lai.config.setting import Limits, SettingError, check_ranges, limits, setting


@dataclass
class Some:
    count: int = setting("a count", 1, ge=1, le=8)
    rate: float | None = setting("a rate", None, gt=0)
    share: float = setting("a share", 0.5, gt=0, lt=1)
    kind: str = setting("a kind", "round", choices=("round", "square"))
    names: dict = setting("a mapping", {"a": 1})
    on: bool = setting("a switch", True)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"count": 0}, "count is 0; it must be from 1 to 8"),
        ({"count": 9}, "count is 9; it must be from 1 to 8"),
        ({"count": 1.5}, "count is 1.5; it must be a whole number, from 1 to 8"),
        ({"count": True}, "count is True; it must be a number"),
        ({"rate": 0.0}, "rate is 0.0; it must be more than 0"),
        ({"rate": float("inf")}, "rate is inf; it must be more than 0"),
        ({"rate": float("nan")}, "rate is nan; it must be more than 0"),
        ({"share": 1}, "share is 1; it must be between 0 and 1"),
        ({"kind": "sqare"}, "kind is 'sqare'; it must be one of round, square; did you mean square?"),
    ],
)
def test_a_value_out_of_range_is_one_line(values, line):
    with pytest.raises(SettingError) as raised:
        check_ranges(Some(**values))
    assert str(raised.value) == line


@pytest.mark.parametrize("values", [{}, {"count": 1}, {"count": 8}, {"rate": 1e-300}, {"rate": 3}, {"kind": "square"}])
def test_a_value_in_range_is_accepted(values):
    check_ranges(Some(**values))


def test_a_mutable_default_is_not_shared():
    first, second = Some(), Some()
    first.names["b"] = 2
    assert second.names == {"a": 1}


def test_a_declaration_can_be_read_back():
    assert limits(Some, "count") == Limits("a count", ge=1, le=8)
