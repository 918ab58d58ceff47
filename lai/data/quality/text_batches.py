"""The texts of files in batches that are quick to count, each with its place.

A text is a line of a text file as it stands; in other kinds of files it is a document's text form.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lai.data.sources.files import in_batches, read_file
from lai.data.sources.kinds import place
from lai.data.sources.reading import DEFAULT_READING, Reading
from lai.data.sources.recognition import recognize
from lai.data.sources.streams import CorpusCounts, read_chunks
from lai.tokenizer.chat import Document, render

CHUNK_BYTES = 1 << 22


@dataclass(frozen=True)
class TextBatch:
    """Consecutive texts of a file: lines of a text file, or the text forms of `documents`."""

    file: Path
    numbers: NDArray[np.int64]  # of the line or row that each text stands in, from 1
    texts: list[bytes]
    documents: list[Document] | None = None


def text_batches(
    files: Sequence[Path], counts: CorpusCounts, reading: Reading = DEFAULT_READING
) -> Iterator[TextBatch]:
    """All texts of files, empty lines too; `counts` is updated while reading.

    Raises:
        UserError: a file cannot be read as what its ending says.
    """
    for file in files:
        if recognize(file, reading).is_lines:
            yield from _line_batches(file, counts)
        else:
            yield from _document_batches(file, counts, reading)


def _line_batches(file: Path, counts: CorpusCounts) -> Iterator[TextBatch]:
    before = 0
    begun: list[bytes] = []  # the pieces of an unfinished line
    for chunk in read_chunks(file, counts, CHUNK_BYTES):
        begun.append(chunk)
        if b"\n" in chunk:
            whole = b"".join(begun)
            lines = whole.split(b"\n")
            begun = [lines.pop()]
            if b"\r" in whole:
                lines = [line.removesuffix(b"\r") for line in lines]
            yield TextBatch(file, before + np.arange(1, len(lines) + 1), lines)
            before += len(lines)
    if last := b"".join(begun):
        yield TextBatch(file, np.array([before + 1]), [last.removesuffix(b"\r")])


def _document_batches(file: Path, counts: CorpusCounts, reading: Reading) -> Iterator[TextBatch]:
    numbers: list[int] = []

    def documents() -> Iterator[Document]:
        for number, document in read_file(file, counts, reading):
            numbers.append(number)
            yield document

    for batch in in_batches(documents()):
        yield TextBatch(file, np.array(numbers), list(map(_text_form, batch)), batch)
        numbers.clear()


def _text_form(document: Document) -> bytes:
    """As `render`; quicker for one question and its answer, which most documents are."""
    if len(document) == 2 and document[0].role == "user" and document[1].role == "assistant":
        return b"<user>%b</user><assistant>%b</assistant>" % (document[0].content, document[1].content)
    return render(document)


def location(file: Path, number: int) -> str:
    """Where a text is, as `file:line` or `file: row number`."""
    return os.fsencode(place(file, number)).decode("utf-8", "backslashreplace")
