"""What was read of a file, and the checks that its readers share."""

import pytest
import torch

from lai.export.reading.stored import check_finite, check_names, shown, training_of
from lai.host.errors import UserError
from lai.model.record import UNKNOWN, TrainingRecord


def test_the_record_of_training_is_read_and_what_is_impossible_is_unknown():
    assert training_of('{"steps": 7, "tokens": 9, "val_loss": 1.5, "other": 3}') == TrainingRecord(7, 9, 1.5)
    assert training_of('{"steps": -1, "val_loss": NaN}') == UNKNOWN
    for odd in (None, "", "[]", "[" * 100_000, "3"):
        assert training_of(odd) == UNKNOWN


def test_values_of_strangers_are_shown_short_on_one_line():
    assert shown("a\nb") == "'a\\nb'" and len(shown("x" * 1000)) == 60
    assert "\n" not in shown(torch.zeros(50, 50).numpy())


def test_tensors_are_compared_by_name_and_shape():
    expected = {"a": (2, 3), "b": (2,)}
    check_names("f", expected, expected)
    for found, words in (
        ({"a": (2, 3)}, "f has no b"),
        ({"a": (3, 2), "b": (2,)}, r"f: a has the shape \[3, 2\], its settings say \[2, 3\]"),
        ({"a": (2, 3), "b": (2,), "c": (1,)}, "f has the tensor c, for which"),
    ):
        with pytest.raises(UserError, match=words):
            check_names("f", expected, found)


def test_infinities_are_refused():
    check_finite("f", "a", torch.zeros(3))
    for odd in (torch.nan, torch.inf, -torch.inf):
        with pytest.raises(UserError, match="f: a holds a value that is not finite"):
            check_finite("f", "a", torch.tensor([0.0, odd]))
