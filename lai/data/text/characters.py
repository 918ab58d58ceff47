"""Characters that nobody sees, blanks of other kinds, letters in pieces, and other spellings of a line's end."""

import re
import unicodedata

# Soft hyphen, Mongolian and Khmer fillers, zero-width characters, marks of direction, word joiners, byte order mark.
# U+200D joins emoji, where it is kept.
INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d"
    "\u202e\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\u206a\u206b\u206c\u206d\u206e\u206f\ufeff\ufff9\ufffa\ufffb"
)
# Every blank that is neither a space nor a tab.
BLANKS = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
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
