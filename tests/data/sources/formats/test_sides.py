"""English and Hungarian columns told apart."""

import pytest

from lai.data.sources.formats.sides import choose_sides, english_first

ENGLISH = ["The dog sleeps in the yard.", "He was in the house."]
HUNGARIAN = ["A kutya az udvaron alszik.", "A fűtőházban volt."]


def test_the_english_column_is_found_in_either_order() -> None:
    assert english_first(ENGLISH, HUNGARIAN) is True
    assert english_first(HUNGARIAN, ENGLISH) is False


@pytest.mark.parametrize("columns", [(["x"], ["y"]), (ENGLISH, ENGLISH), (HUNGARIAN, HUNGARIAN)])
def test_columns_of_one_language_or_none_are_not_told_apart(columns: tuple[list[str], list[str]]) -> None:
    assert english_first(*columns) is None
    assert choose_sides(columns) is None


def test_the_only_column_of_each_language_is_chosen() -> None:
    assert choose_sides([["x"], HUNGARIAN, ENGLISH]) == (2, 1)
    assert choose_sides([ENGLISH, HUNGARIAN, ENGLISH]) is None
