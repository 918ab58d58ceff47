"""Files in chunks of consecutive documents, which one process reads and others work on.

A chunk of a text file is its bytes, so that the lines are found where the work is done. Files of other formats are
read to documents at once.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lai.data.sources.encoding_guess import refuse_other_encodings
from lai.data.sources.files import in_batches, read_file
from lai.data.sources.kinds import packing_of
from lai.data.sources.reading import DEFAULT_READING, Reading
from lai.data.sources.recognition import recognize
from lai.data.sources.streams import (
    GUESSED_BYTES,
    MAX_LINE,
    UTF8_BOM,
    CorpusCounts,
    damage_as_user_error,
    long_line,
    open_stream,
)
from lai.tokenizer.chat import Document, parse_line

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Chunk:
    """Whole lines of a text file, or documents of another file.

    Args:
        numbers: of the line that `text` starts with, or of the row of each document.
        text: the lines; None where the documents are `parsed` already.
        before: the number of the row before the first; two documents of one row may be in two chunks.
    """

    file: Path
    numbers: tuple[int, ...]
    text: bytes | None
    parsed: Sequence[Document] = ()
    before: int = 0

    def lines(self) -> list[bytes]:
        """All lines of the text, without line ends, blank ones too."""
        assert self.text is not None
        lines = self.text.split(b"\n")
        if not lines[-1]:
            lines.pop()
        if b"\r" in self.text:
            lines = [line.removesuffix(b"\r") for line in lines]
        return lines

    def documents(self) -> Sequence[Document]:
        """The documents; blank lines are none."""
        if self.text is None:
            return self.parsed
        return [parse_line(line) for line in self.lines() if line.strip()]


def read_in_chunks(files: Sequence[Path], counts: CorpusCounts, reading: Reading = DEFAULT_READING) -> Iterator[Chunk]:
    """The text of files in chunks of about `CHUNK_BYTES`, in order.

    `counts` is updated while reading, but for the documents and blank lines of text files, which nobody looks at here.

    Raises:
        UserError: as `lai.data.sources.files.read_documents`.
    """
    counts.max_unpacked = reading.max_unpacked
    for file in files:
        if recognize(file, reading).is_lines:
            yield from read_lines_in_chunks(file, counts)
        else:
            yield from _of_documents(file, counts, reading)


def read_lines_in_chunks(file: Path, counts: CorpusCounts) -> Iterator[Chunk]:
    """The lines of a text file, in chunks; see `read_in_chunks`."""
    number = 1
    with damage_as_user_error(file):
        size = file.stat().st_size
        end = counts.bytes_read + size
        left = math.inf if packing_of(file) else size  # a file that grows meanwhile would never end
        with open_stream(file, counts) as stream:
            while left > 0 and (text := stream.read(CHUNK_BYTES)):
                rest = stream.readline(MAX_LINE + 1)  # of the last line
                if len(rest) > MAX_LINE:
                    raise long_line(file, number + text.count(b"\n"))
                text += rest
                left -= len(text)
                if number == 1:
                    refuse_other_encodings(file, text[:GUESSED_BYTES])
                    text = text.removeprefix(UTF8_BOM)
                    if not text:
                        break
                yield Chunk(file, (number,), text)
                number += text.count(b"\n")
    counts.bytes_read = end


def _of_documents(file: Path, counts: CorpusCounts, reading: Reading) -> Iterator[Chunk]:
    numbers: list[int] = []

    def documents() -> Iterator[Document]:
        for number, document in read_file(file, counts, reading):
            numbers.append(number)
            yield document

    before = 0
    for batch in in_batches(documents()):
        counts.documents += len(batch)
        yield Chunk(file, tuple(numbers), None, batch, before)
        before = numbers[-1]
        numbers.clear()
