"""Which known data sets are fetched, and how much of each."""

import pytest

from lai.data.sources.catalog import KNOWN_SETS, SIZES, choose_sets
from lai.host.errors import UserError


def test_the_small_size_has_the_guides_numbers() -> None:
    chosen = choose_sets("small", {})
    assert {name: source.limit for name, source in chosen.items()} == {
        "hu_wiki": 5000, "en_stories": 20000, "translations": 5000,
    }  # fmt: skip
    assert [source.name for source in chosen.values()] == [
        "wikimedia/wikipedia", "roneneldan/TinyStories", "Helsinki-NLP/opus-100",
    ]  # fmt: skip
    assert [source.config for source in chosen.values()] == ["20231101.hu", None, "en-hu"]


def test_sizes_grow_and_revisions_are_pinned() -> None:
    for known in KNOWN_SETS.values():
        rows = [known.rows[size] for size in SIZES]
        assert rows == sorted(set(rows))
        assert len(known.source.revision or "") == 40 and known.licence and known.url.endswith(known.source.name)


def test_rows_override_the_numbers_of_a_size() -> None:
    chosen = choose_sets("tiny", {"hu_wiki": 7, "en_stories": 0, "translations": None})
    assert {name: source.limit for name, source in chosen.items()} == {"hu_wiki": 7, "translations": 1000}


@pytest.mark.parametrize(
    ("size", "rows", "message"),
    [
        ("huge", {}, "one of tiny, small, medium, large"),
        ("tiny", {"de_wiki": 1}, "no data set 'de_wiki'"),
        ("tiny", {"hu_wiki": -1}, "hu_wiki is -1"),
        ("tiny", dict.fromkeys(KNOWN_SETS, 0), "all 0"),
    ],
)
def test_wrong_sizes_and_numbers_are_user_errors(size: str, rows: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        choose_sets(size, rows)
