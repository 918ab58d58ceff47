"""Parquet files: a row a document, read as in `.jsonl`; only the columns that a row needs are loaded."""

from collections.abc import Iterator
from pathlib import Path

from lai.data.sources.rows import ROW_COLUMNS, documents_of_row
from lai.data.sources.streams import CorpusCounts, open_stream, seekable
from lai.host.errors import UserError
from lai.tokenizer.chat import Document

_BATCH_ROWS = 1024


def read(path: Path, counts: CorpusCounts) -> Iterator[tuple[int, Document]]:
    """The documents of a Parquet file, each with the number of its row.

    Raises:
        UserError: the file is damaged, or a row is no document.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        with open_stream(path, counts) as stream, seekable(stream) as file, parquet.ParquetFile(file) as table:
            columns = [name for name in table.schema_arrow.names if name in ROW_COLUMNS]
            number = 0
            for batch in table.iter_batches(_BATCH_ROWS, columns=columns or table.schema_arrow.names):
                for row in batch.to_pylist():
                    number += 1
                    for document in documents_of_row(f"{path}: row {number}", row, counts):
                        yield number, document
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} is damaged or not a Parquet file ({reason}); expected a whole one") from error
