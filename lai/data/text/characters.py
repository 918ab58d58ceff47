"""Characters that nobody sees, blanks of other kinds, letters in pieces, and other spellings of a line's end."""

import re
import unicodedata

from lai.tokenizer import folding

HUNGARIAN_LETTERS = "áéíóöőúüűÁÉÍÓÖŐÚÜŰ"
"""Those beyond ASCII."""

_VARIATION_SELECTORS = range(0xFE00, 0xFE10)  # of emoji, where they are kept, as is U+200D, which joins them
INVISIBLE = "".join(
    chr(point)
    for first, last in folding.INVISIBLE
    for point in range(first, last + 1)
    if point < 0x10000 and point not in _VARIATION_SELECTORS
)
# Every blank that is neither a space nor one of ASCII's.
BLANKS = "".join(character for character, kept in folding.REPLACED.items() if kept == " " and not character.isascii())
COMBINING = (0x300, 0x370)

_INVISIBLE = re.compile(f"(?<![\u2190-\u2bff\ufe0f\U0001f000-\U0001faff])\u200d|[{INVISIBLE.replace(chr(0x200D), '')}]")
_BLANK = re.compile(f"[{BLANKS}]")
_COMBINING = re.compile("[\u0300-\u036f]")
_LINE_END = re.compile("\r\n|[\r\x85\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def drop_invisible(text: str) -> str:
    """The text without characters that nobody sees; U+200D stays where it joins emoji."""
    return _INVISIBLE.sub("", text)


def fold_blanks(text: str) -> str:
    """The text with every kind of blank as a space; tabs and line ends stay."""
    return _BLANK.sub(" ", text)


def compose(text: str) -> str:
    """The text in NFC where letters are in pieces (`o` and U+0301 for `ó`); other text as it is."""
    return unicodedata.normalize("NFC", text) if _COMBINING.search(text) else text


def fold_line_ends(text: str) -> str:
    """The text with a line feed for each line end of other systems."""
    return _LINE_END.sub("\n", text)


def drop_controls(text: str) -> str:
    """The text without control characters; tabs and line ends stay."""
    return _CONTROL.sub("", text)
