"""The texts of files in batches that are quick to count, each with its place.

A text is a line of a text file as it stands; in other kinds of files it is a document's text form.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lai.data.sources.chunks import Chunk
from lai.data.sources.kinds import place
from lai.tokenizer.chat import Document, render


@dataclass(frozen=True)
class TextBatch:
    """Consecutive texts of a file: lines of a text file, or the text forms of `documents`."""

    file: Path
    numbers: NDArray[np.int64]  # of the line or row that each text stands in, from 1
    texts: list[bytes]
    documents: Sequence[Document] | None = None
    before: int = 0  # the number of the row before the first


def batch_of(chunk: Chunk) -> TextBatch:
    """The texts of a chunk."""
    if chunk.text is None:
        documents = chunk.documents()
        return TextBatch(chunk.file, np.array(chunk.numbers), list(map(render, documents)), documents, chunk.before)
    lines = chunk.lines()
    return TextBatch(chunk.file, chunk.numbers[0] + np.arange(len(lines)), lines)


def location(file: Path, number: int) -> str:
    """Where a text is, as `file:line` or `file: row number`."""
    return os.fsencode(place(file, number)).decode("utf-8", "backslashreplace")
