"""JSON files: an array of objects, an object that wraps such an array, or objects one after another.

Each object is read as a row, in memory that does not grow with the file.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lai.data.sources.reading import NumberedDocument, RowReader
from lai.data.sources.streams import MAX_LINE, CorpusCounts, read_chunks
from lai.host.errors import UserError

WRAPPERS = ("data", "rows", "train", "examples", "instances", "items", "records")
"""The keys of an object under which an array holds the rows."""

_CHUNK = 1 << 20
_NEAR_END = 16  # characters: an error so close to the end of what was read may be that of a value not read to its end
_BLANKS = re.compile(r"[ \t\n\r]*")


def read(path: Path, counts: CorpusCounts, rows: RowReader) -> Iterator[NumberedDocument]:
    """The documents of a `.json` file, each with the number of its row.

    Raises:
        UserError: the file is no JSON or ends inside a row, or a row is no document.
    """
    for number, row in enumerate(values(path, counts), start=1):
        yield from rows.read(number, row)


def values(path: Path, counts: CorpusCounts) -> Iterator[Any]:
    """The values that should be rows, in the file's order.

    Raises:
        UserError: the file is no JSON, or ends inside a value.
    """
    given = 0
    try:
        for value in _values(_Text(_texts(path, counts))):
            given += 1
            yield value
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else error
        raise UserError(f"{path}: row {given + 1}: not JSON ({reason}); expected an array of objects") from error
    except _LongValueError:
        raise UserError(
            f"{path}: row {given + 1}: found a value of more than 64 MB; expected an array of smaller objects"
        ) from None


class _LongValueError(Exception):
    """A value is longer than any row."""


def _texts(path: Path, counts: CorpusCounts) -> Iterator[str]:
    """The text of a file in pieces that end with whole characters."""
    rest = b""
    for chunk in read_chunks(path, counts, _CHUNK):
        chunk = rest + chunk
        end = len(chunk)
        while end and chunk[end - 1] >= 0x80 and len(chunk) - end < 4:
            end -= 1
        yield chunk[:end].decode("utf-8", "surrogatepass")
        rest = chunk[end:]
    yield rest.decode("utf-8", "surrogatepass")


class _Text:
    """A text that is read as it is parsed."""

    def __init__(self, pieces: Iterable[str]) -> None:
        self._pieces = iter(pieces)
        self._text = ""
        self._at = 0
        self._decode = json.JSONDecoder().raw_decode

    def _more(self) -> bool:
        """Read as much again as there is, so that a long value takes few steps; False at the end of the file."""
        left = self._text[self._at :]
        if len(left) > MAX_LINE:
            raise _LongValueError
        read, size = [left], 0
        for piece in self._pieces:
            read.append(piece)
            size += len(piece)
            if size > len(left):
                break
        self._text, self._at = "".join(read), 0
        return size > 0

    def peek(self) -> str:
        """The next character that is no blank; empty at the end."""
        while True:
            match = _BLANKS.match(self._text, self._at)
            assert match is not None
            self._at = match.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def take(self, expected: str) -> str:
        """The next character, which must be one of `expected`."""
        found = self.peek()
        if not found or found not in expected:
            raise json.JSONDecodeError(f"Expecting {' or '.join(map(repr, expected))}", self._text, self._at)
        self._at += 1
        return found

    def value(self) -> Any:
        """The next value."""
        self.peek()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated string") or error.pos >= len(self._text) - _NEAR_END
                if not (cut and self._more()):
                    raise
                continue
            if end == len(self._text) and self._text[end - 1] not in '"]}' and self._more():
                continue  # a number may have more digits
            self._at = end
            return value


def _values(text: _Text) -> Iterator[Any]:
    match text.peek():
        case "[":
            yield from _items(text)
        case "{":
            yield from _wrapped(text)
    while text.peek():
        yield text.value()


def _items(text: _Text) -> Iterator[Any]:
    """The items of an array."""
    text.take("[")
    if text.peek() == "]":
        text.take("]")
        return
    while True:
        yield text.value()
        if text.take(",]") == "]":
            return


def _wrapped(text: _Text) -> Iterator[Any]:
    """The items of the array under one of `WRAPPERS`, or the object itself."""
    members: dict[str, Any] = {}
    is_row = True
    text.take("{")
    if text.peek() == "}":
        text.take("}")
        yield members
        return
    while True:
        key = text.value() if text.peek() == '"' else text.take('"')
        text.take(":")
        if key in WRAPPERS and text.peek() == "[":
            yield from _items(text)
            is_row = False
        else:
            members[key] = text.value()
        if text.take(",}") == "}":
            break
    if is_row:
        yield members
