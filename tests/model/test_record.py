"""The training record: values that anybody may have written."""

import math

import pytest

from lai.model.record import UNKNOWN, TrainingRecord


@pytest.mark.parametrize("value", [-1, 2**64, 1.5, "3", None, math.nan])
def test_a_count_that_nobody_can_have_counted_is_unknown(value: object) -> None:
    assert TrainingRecord.read(steps=value, tokens=value) == UNKNOWN


@pytest.mark.parametrize("value", [-1.0, 0, math.nan, math.inf, 3.5e38, "3", None])
def test_a_loss_that_nobody_can_have_measured_is_unknown(value: object) -> None:
    assert TrainingRecord.read(val_loss=value, val_loss_floor=value) == UNKNOWN


def test_a_record_survives_its_dictionary() -> None:
    record = TrainingRecord(steps=7, tokens=1000, val_loss=1.5, val_loss_floor=1.25, turns=8)
    assert TrainingRecord.read(**record.to_dict()) == record


def test_a_record_of_unfolded_text_says_so() -> None:
    record = TrainingRecord(steps=7, unfolded=True)
    assert TrainingRecord.read(**record.to_dict()) == record
    assert record.facts()[-1] == ("text", "not folded (data.normalize=false)")
    assert "unfolded" not in UNKNOWN.to_dict() and TrainingRecord.read(unfolded=3) == UNKNOWN


def test_facts_say_unknown_where_nothing_is_known() -> None:
    assert [value for _, value in UNKNOWN.facts()] == ["unknown"] * 4
    record = TrainingRecord(steps=7000, tokens=1_000_000, val_loss=1.5, val_loss_floor=1.25, turns=8)
    assert [value for _, value in record.facts()] == ["7,000", "1,000,000", "1.5000, floor 1.2500", "8"]
