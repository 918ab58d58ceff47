"""The likely encoding of text that is no UTF-8, and the command that converts it."""

import codecs
import re
import shlex
from pathlib import Path

from lai.data.sources.kinds import packing_of, printable, reading_command
from lai.data.text.characters import HUNGARIAN_LETTERS
from lai.host.errors import UserError

_SIGNS = "„”“’‘–—…«»°§•€©®×\u00a0\u00ad"
# Python's name, iconv's name; of equal ones the first.
_ENCODINGS = (
    ("iso-8859-2", "ISO-8859-2"),
    ("cp1250", "CP1250"),
    ("cp1252", "CP1252"),
    ("cp852", "CP852"),
    ("mac_latin2", "MAC-CENTRALEUROPE"),
    ("mac_roman", "MACINTOSH"),
)
_MIN_SIGNS = 3  # bytes beyond ASCII; fewer may be stray ones
_MIN_KNOWN = 0.9  # share of them that are Hungarian letters or usual signs
_MAX_UTF8 = 0.1  # share of the bytes beyond ASCII that are good UTF-8
_MIN_NULLS = 0.3  # share of the bytes at even or odd places that are zero in UTF-16
_UTF8_LETTER = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")


def refuse_other_encodings(path: Path, start: bytes) -> None:
    """Refuse a file whose beginning is text in another encoding than UTF-8.

    Raises:
        UserError: it is UTF-16 or UTF-32, or most letters beyond ASCII are of a one-byte encoding.
    """
    if (encoding := likely_encoding(start)) is not None:
        raise UserError(f"{path} is {encoding}; expected UTF-8: {conversion(path, encoding)}")


def conversion(path: Path, encoding: str) -> str:
    """The command that makes UTF-8 of a file."""
    if packing_of(path):
        return f"{reading_command(path)} | iconv -f {encoding} -t UTF-8 > NEW"
    return f"iconv -f {encoding} -t UTF-8 {shlex.quote(printable(path))} > NEW"


def likely_encoding(text: bytes) -> str | None:
    """iconv's name of the encoding that a text is likely in; None for UTF-8 and for what is no text in any."""
    if text.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):  # the first one begins as that of UTF-16 does
        return "UTF-32"
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "UTF-16"
    for name, zeros in (("UTF-16LE", text[1::2]), ("UTF-16BE", text[::2])):
        if (
            len(zeros) > _MIN_SIGNS
            and zeros.count(0) > _MIN_NULLS * len(zeros)
            and text.count(0) < 1.2 * zeros.count(0)
        ):
            return name
    beyond = len(_BEYOND_ASCII.findall(text))
    if beyond < _MIN_SIGNS or sum(map(len, _UTF8_LETTER.findall(text))) > _MAX_UTF8 * beyond:
        return None
    scores = {name: _known(text, encoding, beyond) for encoding, name in _ENCODINGS}
    best = max(scores, key=scores.__getitem__)
    return best if scores[best] >= _MIN_KNOWN else None


def _known(text: bytes, encoding: str, beyond: int) -> float:
    """The share of the bytes beyond ASCII that are Hungarian letters, inside words, or usual signs in this encoding."""
    decoded = text.decode(encoding, "replace")
    inside = f"(?:(?<=[a-z{HUNGARIAN_LETTERS}])|(?=.[a-z{HUNGARIAN_LETTERS}]))[{HUNGARIAN_LETTERS}]"
    letters = re.findall(f"{inside}|\\b[{HUNGARIAN_LETTERS}]\\b", decoded)
    capitals = re.findall("[a-záéíóöőúüű][ÁÉÍÓÖŐÚÜŰ]", decoded)  # inside words: the sign of a wrong guess
    signs = sum(decoded.count(sign) for sign in _SIGNS)
    return (len(letters) + 0.9 * signs - 2 * len(capitals)) / beyond
