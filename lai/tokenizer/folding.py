"""Folding: one form for text that looks the same, for what a person types and for the text that a model is trained on.

1. Invisible characters are dropped: soft hyphen, zero-width characters, U+FEFF, directional marks, variation selectors.
2. Every kind of blank becomes a space. Every kind of line end (CRLF, CR, U+0085, U+2028, U+2029) becomes "\\n".
3. Typographic quotes and dashes become those of a keyboard: " ' and -. The generated text has no others.
4. The text becomes NFC (Unicode Standard Annex 15).
5. Blanks become one space, and none beside a line end. Blanks and line ends at both ends are dropped.

Bytes that are no UTF-8 stay what they are. An invisible character right behind such a byte stays too: without it the
bytes could join to a character. Folding a folded text changes nothing.

cpp/text/folding.cpp follows the same rules, with tables that cpp/text/make_folding_tables.py writes from this file.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby

from lai.tokenizer.chat import Document, Turn

FOLDING_VERSION = 1
"""Part of the fingerprint of all that is made from folded text; a change of the rules raises it."""

# First and last code points. Format characters (general category Cf), but for the visible ones of Arabic, Syriac,
# Kaithi and Egyptian; and Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties.txt.
INVISIBLE: tuple[tuple[int, int], ...] = (
    (0x00AD, 0x00AD),  # soft hyphen
    (0x034F, 0x034F),  # combining grapheme joiner
    (0x061C, 0x061C),  # Arabic letter mark
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),  # Khmer inherent vowels
    (0x180B, 0x180F),  # Mongolian variation selectors and vowel separator
    (0x200B, 0x200F),  # zero-width space, non-joiner and joiner; directional marks
    (0x202A, 0x202E),  # directional embeddings and overrides
    (0x2060, 0x206F),  # word joiner, invisible operators, directional isolates
    (0x3164, 0x3164),  # Hangul filler
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFEFF, 0xFEFF),  # byte order mark
    (0xFFA0, 0xFFA0),  # halfwidth Hangul filler
    (0xFFF0, 0xFFFB),  # interlinear annotation; the rest is reserved for such characters
    (0x1BCA0, 0x1BCA3),  # shorthand format controls
    (0x1D173, 0x1D17A),  # musical format controls
    (0xE0000, 0xE0FFF),  # tags, variation selectors
)

# What a character becomes: blanks (Unicode's White_Space), line ends, quotes, dashes.
REPLACED: dict[str, str] = {
    **dict.fromkeys("\t\v\f\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a", " "),
    **dict.fromkeys("\u202f\u205f\u3000", " "),
    **dict.fromkeys("\r\u0085\u2028\u2029", "\n"),
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2039\u203a\u02bc", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb", '"'),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
}

_INVISIBLE_SET = f"[{''.join(f'{chr(first)}-{chr(last)}' for first, last in INVISIBLE)}]"
_INVISIBLE = re.compile(f"{_INVISIBLE_SET}(?<![\udc80-\udcff]{_INVISIBLE_SET})")  # an escaped byte may stand before it
_REPLACED = re.compile(f"[{''.join(REPLACED)}]")
_SPACES = re.compile("  +")
_BESIDE_LINE_END = re.compile(" ?\n ?")
# Marks the bytes of UTF-8 that need a look at their character: controls, the leads of U+0080 to U+00BF, of U+0280 to
# U+02BF and of U+0300 and up. No other character is in the tables, changed by NFC, or joins one before it. Line ends
# become spaces, so that two spaces show all blanks that may be too many.
_MARK = 0xFF
_MARKED = bytes(
    0x20 if byte == 0x0A else _MARK if byte in b"\t\v\f\r\xc0\xc1\xc2\xca" or byte >= 0xCC else byte
    for byte in range(256)
)
_LONG = 1000  # characters; below, the square of their number is small


def fold_text(text: bytes) -> bytes:
    """The folded form of a text; see the module's docstring. Takes linear time, but for sorting marks."""
    characters = text.decode("utf-8", "surrogateescape")
    characters = _INVISIBLE.sub("", characters).replace("\r\n", "\n")
    characters = _REPLACED.sub(lambda match: REPLACED[match[0]], characters)
    if not unicodedata.is_normalized("NFC", characters):
        if len(characters) > _LONG:
            characters = _with_sorted_marks(characters)
        characters = unicodedata.normalize("NFC", characters)
    characters = _BESIDE_LINE_END.sub("\n", _SPACES.sub(" ", characters)).strip(" \n")
    return characters.encode("utf-8", "surrogateescape")


def fold_texts(texts: Sequence[bytes]) -> list[bytes]:
    """The folded forms of many texts, fast where most of them are folded already."""
    folded = list(texts)
    for index in _suspects(texts):
        folded[index] = fold_text(texts[index])
    return folded


def fold_documents(documents: Sequence[Document]) -> list[Document]:
    """The documents with the contents of their turns folded; one of which nothing is left is dropped."""
    folded: list[Document] = list(documents)
    firsts = list(accumulate((len(document) for document in documents), initial=0))
    emptied = set()
    contents = [turn.content for document in documents for turn in document]
    for index in {bisect_right(firsts, suspect) - 1 for suspect in _suspects(contents)}:
        folded[index] = tuple(Turn(turn.role, fold_text(turn.content)) for turn in documents[index])
        if not any(turn.content for turn in folded[index]):
            emptied.add(index)
    return [document for index, document in enumerate(folded) if index not in emptied] if emptied else folded


def _suspects(texts: Sequence[bytes]) -> Iterator[int]:
    """The indices of all texts that folding may change, some of them twice."""
    if not texts:
        return
    joined = (b"\n" + b"\n".join(texts) + b"\n").translate(_MARKED)
    starts = list(accumulate((len(text) + 1 for text in texts), initial=1))
    # The second byte of what is found lies in the text, or is the line end behind it.
    for sought in (bytes([_MARK]), b"  "):
        found = joined.find(sought)
        while found >= 0:
            index = bisect_right(starts, found + len(sought) - 1) - 1
            yield index
            found = joined.find(sought, starts[index + 1] - 1)


def _with_sorted_marks(text: str) -> str:
    """The text with each run of combining marks in canonical order.

    `unicodedata.normalize` sorts by insertion: a long run that is not in order would take the square of its length.
    """
    return "".join(
        "".join(sorted(run, key=unicodedata.combining)) if are_marks else "".join(run)
        for are_marks, run in groupby(text, lambda character: unicodedata.combining(character) != 0)
    )
