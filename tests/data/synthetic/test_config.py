"""The generator's settings: counts that add up, and wrong values."""

from dataclasses import replace
from typing import Any

import pytest

from lai.data.synthetic import SyntheticConfig
from lai.host.errors import UserError

GUIDE = SyntheticConfig()


def test_instruction_counts_add_up() -> None:
    for instructions in (0, 1, 7, 2000, 2001):
        config = SyntheticConfig(instructions=instructions)
        assert sum(config.instruction_count(name) for name in config.mix) == instructions


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sentences", -1), ("stories", 1.5), ("seed", -3), ("lexicon", "tiny"), ("lexicon", 5), ("held_out", 0.7),
        ("detail", 2), ("repetitions", 0), ("templates", ("sonnet",)), ("instruction_mix", {"rhyme": 1}),
        ("templates", ()), ("translations", True), ("phrases", -0.1), ("phrase_verbs", 1.5),
        ("conversations", -1), ("turns", 0), ("turns", 9),
    ],
)  # fmt: skip
def test_a_wrong_value_is_one_line_that_names_the_key(key: str, value: Any) -> None:
    with pytest.raises(UserError, match=key) as raised:
        replace(GUIDE, **{key: value})
    assert "\n" not in str(raised.value)


def test_nothing_to_generate_is_an_error() -> None:
    with pytest.raises(UserError, match="all 0"):
        SyntheticConfig(0, 0, 0, 0)
