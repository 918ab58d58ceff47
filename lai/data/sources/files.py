"""Data files of any supported kind to documents, streamed in memory that does not grow with the files.

One row of a file is one document (a pair of sentences: two, one for each direction). The kinds are those of
`lai.data.sources.formats`, each also with `.gz`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from lai.data.sources.discovery import find_files, kind_of
from lai.data.sources.formats import jsonl, parquet, tsv, txt
from lai.data.sources.streams import CorpusCounts, damage_as_user_error
from lai.tokenizer.chat import Document

NumberedDocument = tuple[int, Document]
"""A document and the number, from 1, of the line or row it stands in."""

_READERS: dict[str, Callable[[Path, CorpusCounts], Iterator[NumberedDocument]]] = {
    ".txt": txt.read,
    ".jsonl": jsonl.read,
    ".tsv": tsv.read,
    ".parquet": parquet.read,
}
_BATCH_BYTES = 1 << 20
_BATCH_DOCUMENTS = 1 << 14


def read_documents(paths: str | Path | Sequence[str | Path], counts: CorpusCounts | None = None) -> Iterator[Document]:
    """The documents of all files that `paths` name, in the files' order; `counts` is updated while reading.

    Blank lines are skipped and counted. So are `.tsv` lines and rows of pairs without exactly two non-empty sides.

    Raises:
        UserError: a file is missing, damaged or not what its ending says (the message names path and line), or more
            than half of the lines of a `.tsv` are not pairs.
    """
    counts = CorpusCounts() if counts is None else counts
    for path in find_files(paths):
        for _, document in read_file(path, counts):
            counts.documents += 1
            yield document


def in_batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Documents in lists of bounded length and size, so that each step handles many in little memory."""
    batch: list[Document] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += sum(len(turn.content) for turn in document)
        if size >= _BATCH_BYTES or len(batch) >= _BATCH_DOCUMENTS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def read_file(path: Path, counts: CorpusCounts) -> Iterator[NumberedDocument]:
    """The documents of one file, each with the number of its line or row; see `read_documents`."""
    kind = kind_of(path)
    assert kind is not None, path
    end = counts.bytes_read
    with damage_as_user_error(path):
        end += path.stat().st_size
        yield from _READERS[kind](path, counts)
    counts.bytes_read = end  # Parquet leaves columns out and reads its footer twice
