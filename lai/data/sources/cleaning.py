"""Cleaning of real data sets: text that is not prose is removed, and rows with too little left are dropped."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from lai.data.text.mend import mend_text
from lai.host.errors import UserError

Row = Mapping[str, Any]
Cleaner = Callable[[Row], Row | None]
"""Returns the cleaned row, or None to drop it; raises UserError if the row lacks its column."""

_MIN_ARTICLE = 200  # characters; shorter articles are stubs
_MIN_STORY = 50
_MAX_SIDE_CHARACTERS = 1000  # of a pair
_MAX_LENGTH_RATIO = 3.0  # of the lengths of a pair's sides, where one is longer than a few words
_FEW_WORDS = 20  # characters

# Headings after which a Wikipedia article has no prose.
_APPENDICES = {
    *("jegyzetek", "források", "forrás", "hivatkozások", "külső hivatkozások", "további információk", "lásd még"),
    *("kapcsolódó szócikkek", "irodalom", "további olvasnivaló", "bibliográfia", "fordítás", "galéria"),
    *("references", "notes", "external links", "see also", "further reading", "bibliography", "sources"),
}
_TEMPLATE = re.compile(r"\{\{[^{}]*\}\}|\[\[(?:Fájl|Kép|File|Image):[^\[\]]*\]\]")
_REFERENCE = re.compile(r"\[\d+\]")
_EMPTY_BRACKETS = re.compile(r"\s*\([\s,;:/–-]*\)")
_TABLE_LINE = re.compile(r"^\s*(?:\{\||\|[-}|+]?|!)")
_SPACES = re.compile(r"[^\S\n]+")
_BLANK_LINES = re.compile(r"\n\s*\n\s*")
_DASH = re.compile(r"^[-–—]\s*")
_LOST_QUOTE = re.compile(
    "â€(?![\x80-\x9f\xa1-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ])"
)  # a closing quotation mark whose last byte was lost
_LETTER = re.compile(r"[^\W\d_]")


def clean_article(row: Row) -> Row | None:
    """A row with `title` and `text` of Wikipedia: without notes and links at the end, tables and left-over markup."""
    lines = []
    for line in _text(row, "text").split("\n"):
        if line.strip().rstrip(":").lower() in _APPENDICES:
            break
        if not _TABLE_LINE.match(line):
            lines.append(line)
    text = _TEMPLATE.sub("", "\n".join(lines))
    text = tidy(_EMPTY_BRACKETS.sub("", _REFERENCE.sub("", text)))
    return None if len(text) < _MIN_ARTICLE else {**row, "title": tidy(_text(row, "title")), "text": text}


def clean_story(row: Row) -> Row | None:
    """A row with `text`: misread quotation marks are repaired, white space is normalized."""
    text = tidy(_LOST_QUOTE.sub("”", _text(row, "text")))
    return None if len(text) < _MIN_STORY else {**row, "text": text}


def clean_pair(row: Row) -> Row | None:
    """A row with `translation`, or `en` and `hu`: dropped if a side is missing, copied or much longer."""
    pair = row.get("translation", row)
    if pair is None:
        return None
    if not isinstance(pair, Mapping):
        return row  # row_documents reports the mistake
    english, hungarian = (" ".join(tidy(_text(pair, side)).split()) for side in ("en", "hu"))
    if _DASH.match(english) and _DASH.match(hungarian):  # of a dialogue
        english, hungarian = _DASH.sub("", english), _DASH.sub("", hungarian)
    shorter, longer = sorted((len(english), len(hungarian)))
    wanted = (
        _LETTER.search(english)
        and _LETTER.search(hungarian)
        and english.lower() != hungarian.lower()
        and longer <= _MAX_SIDE_CHARACTERS
        and (longer <= _FEW_WORDS or longer <= _MAX_LENGTH_RATIO * shorter)
    )
    if not wanted:
        return None
    sides = {"en": english, "hu": hungarian}
    return {**row, "translation": sides} if "translation" in row else {**row, **sides}


CLEANERS: dict[str, Cleaner] = {"article": clean_article, "story": clean_story, "pair": clean_pair}


def tidy(text: str) -> str:
    """Text without damage, in NFC; one space between words, one blank line at most between paragraphs."""
    text = unicodedata.normalize("NFC", mend_text(text))
    lines = (_SPACES.sub(" ", line).strip() for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()


def _text(row: Row, column: str) -> str:
    """A column's text; a missing value is empty."""
    if column not in row:
        raise UserError(f"found columns {', '.join(map(repr, list(row)[:8]))}; this cleaning expects {column}")
    value = row[column]
    return value if isinstance(value, str) else ""
