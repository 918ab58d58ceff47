"""Rows of pairs, under the names that sides have."""

import json
from typing import Any

import pytest


@pytest.mark.parametrize(
    "row",
    [
        {"English": "dog", "Hungarian": "kutya"},
        {"HU": "kutya", "EN": "dog", "score": 1},
        {"eng": "dog", "hun": "kutya"},
        {"angol": "dog", "magyar": "kutya"},
        {"translation": {"english": "dog", "hungarian": "kutya"}},
        {"english": "no", "hu": "kutya", "en": "dog"},
    ],
)
def test_sides_are_found_by_the_names_of_their_languages(read, pairs, row: dict[str, Any]) -> None:
    assert read("a.jsonl", json.dumps(row)) == pairs((1, "dog", "kutya"))


def test_a_pair_without_a_side_is_skipped(read, counts) -> None:
    assert read("a.jsonl", '{"English": "dog", "Hungarian": null}') == []
    assert counts.skipped == 1
