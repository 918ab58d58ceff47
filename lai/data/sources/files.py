"""Data files of any supported kind to documents, streamed in memory that does not grow with the files.

One row of a file is one document (a pair of sentences: two, one for each direction). The formats are those of
`lai.data.sources.formats`, each also with `.gz` or `.zst`.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lai.data.sources.discovery import find_files
from lai.data.sources.reading import DEFAULT_READING, NumberedDocument, Reading, RowReader
from lai.data.sources.recognition import recognize
from lai.data.sources.rows import row_documents
from lai.data.sources.streams import CorpusCounts, damage_as_user_error
from lai.data.sources.templates import ToDocuments, row_mapper
from lai.tokenizer.chat import Document

_BATCH_BYTES = 1 << 20
_BATCH_DOCUMENTS = 1 << 14


def read_documents(
    paths: str | Path | Sequence[str | Path], counts: CorpusCounts | None = None, reading: Reading = DEFAULT_READING
) -> Iterator[Document]:
    """The documents of all files that `paths` name, in the files' order; `counts` is updated while reading.

    Blank lines are skipped and counted. So are `.tsv` lines and rows of pairs without exactly two non-empty sides.

    Raises:
        UserError: a file is missing, damaged or not what its ending says (the message names path and line), or more
            than half of the lines of a `.tsv` are not pairs; a row is faulty, and `reading` does not leave it out.
    """
    counts = CorpusCounts() if counts is None else counts
    for path in find_files(paths, reading):
        for _, document in read_file(path, counts, reading):
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


def read_file(path: Path, counts: CorpusCounts, reading: Reading = DEFAULT_READING) -> Iterator[NumberedDocument]:
    """The documents of one file, each with the number of its line or row; see `read_documents`."""
    end = counts.bytes_read
    counts.max_unpacked = reading.max_unpacked
    to_documents: ToDocuments = row_documents
    if reading.maps_rows:
        to_documents = row_mapper(reading.columns, None, reading.template, group="data", default=row_documents)
    rows = RowReader(path, counts, to_documents, skip=reading.bad_rows == "skip")
    with damage_as_user_error(path):
        end += path.stat().st_size
        yield from recognize(path, reading).read(path, counts, rows)
        rows.finish()
    counts.bytes_read = end  # Parquet leaves columns out and reads its footer twice
