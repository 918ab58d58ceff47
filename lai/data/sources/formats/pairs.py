"""Rows of pairs: `translation`, an object with both sides, or a column a side."""

from collections.abc import Mapping, Sequence
from typing import Any

from lai.data.sources.values import column_names, describe, to_bytes
from lai.host.errors import UserError
from lai.tokenizer.chat import Document, translation_examples

NAME = "pairs"
ENGLISH = ("en", "eng", "english", "angol", "en_us", "en-us", "en_gb", "en-gb")
HUNGARIAN = ("hu", "hun", "hungarian", "magyar", "hu_hu", "hu-hu")
COLUMNS = tuple(
    spelled for name in (*ENGLISH, *HUNGARIAN) for spelled in dict.fromkeys((name, name.capitalize(), name.upper()))
)


def matches(row: Mapping[str, Any]) -> bool:
    """Whether a row has a pair's sides, or an object that should hold them."""
    return "translation" in row or _sides(row) is not None


def documents(row: Mapping[str, Any]) -> Sequence[Document]:
    """Both directions of a pair; none where a side is blank.

    Raises:
        UserError: `translation` lacks a side, or a side is no text.
    """
    pair = row.get("translation", row)
    if pair is None:
        return ()
    names = _sides(pair) if isinstance(pair, Mapping) else None
    if names is None:
        found = column_names(pair) if isinstance(pair, Mapping) else describe(pair)
        raise UserError(f"found {found} in translation; expected texts named en and hu")
    english, hungarian = (to_bytes(name, pair[name]) for name in names)
    return translation_examples(english, hungarian) if english.strip() and hungarian.strip() else ()


def _sides(pair: Mapping[str, Any]) -> tuple[str, str] | None:
    """The names of the English and the Hungarian side."""
    if "en" in pair and "hu" in pair:
        return "en", "hu"
    by_name: dict[str, str] = {}
    for name in pair:
        by_name.setdefault(name.strip().lower(), name)
    english, hungarian = (next((by_name[n] for n in names if n in by_name), None) for names in (ENGLISH, HUNGARIAN))
    return None if english is None or hungarian is None else (english, hungarian)
