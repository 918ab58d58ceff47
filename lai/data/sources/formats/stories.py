"""TinyStories' text files: a document on several lines, and a line `<|endoftext|>` between two."""

import re
from collections.abc import Iterator
from pathlib import Path

from lai.data.sources.reading import NumberedDocument, RowReader
from lai.data.sources.streams import MAX_LINE, CorpusCounts, raw_lines
from lai.host.errors import UserError
from lai.tokenizer.chat import parse_line

NAME = "TinyStories text"
SEPARATOR = b"<|endoftext|>"
_SEPARATOR_LINE = re.compile(rb"(?m)^[ \t]*<\|endoftext\|>[ \t]*\r?$")


def matches(start: bytes) -> bool:
    """Whether the beginning of a file holds a line of the separator."""
    return SEPARATOR in start and _SEPARATOR_LINE.search(start) is not None


def read(path: Path, counts: CorpusCounts, rows: RowReader) -> Iterator[NumberedDocument]:
    """The documents of a file, each with the number of its first line.

    Raises:
        UserError: a document or a line has more than 64 MB.
    """
    first, lines, size = 0, list[bytes](), 0
    for number, line in enumerate(raw_lines(path, counts), start=1):
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        if line.strip() == SEPARATOR:
            yield from _story(first, lines, counts)
            first, lines, size = 0, [], 0
        elif lines or line.strip():
            first = first or number
            lines.append(line)
            size += len(line)
            if size > MAX_LINE:
                raise UserError(f"{path}:{first}: found a text of more than 64 MB; expected a separator after it")
    if lines:
        yield from _story(first, lines, counts)


def _story(number: int, lines: list[bytes], counts: CorpusCounts) -> Iterator[NumberedDocument]:
    """The document of these lines, without blanks around it; none if there is no text."""
    if text := b"\n".join(lines).strip():
        yield number, parse_line(text)
    else:
        counts.empty += 1
