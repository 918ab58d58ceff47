"""Parquet files: a row a document, read as in `.jsonl`; only the columns that a row needs are loaded.

`datasets` writes values of different types as JSON texts, which Parquet marks as such; they are read as what they hold.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lai.data.sources.reading import NumberedDocument, RowReader
from lai.data.sources.streams import CorpusCounts, open_stream, seekable
from lai.host.errors import UserError

_BATCH_ROWS = 1024


def reader(wanted: Sequence[Sequence[str]]) -> Callable[[Path, CorpusCounts, RowReader], Iterator[NumberedDocument]]:
    """The function that reads Parquet files.

    Args:
        wanted: sets of columns; the first set of which a file has some decides what is loaded, else all columns are.
    """

    def read(path: Path, counts: CorpusCounts, rows: RowReader) -> Iterator[NumberedDocument]:
        """The documents of a Parquet file, each with the number of its row.

        Raises:
            UserError: the file is damaged, or a row is no document.
        """
        import pyarrow
        from pyarrow import parquet

        try:
            with open_stream(path, counts) as stream, seekable(stream) as file, parquet.ParquetFile(file) as table:
                groups = (table.metadata.row_group(index) for index in range(table.metadata.num_row_groups))
                counts.check_unpacked(path, sum(group.total_byte_size for group in groups))
                schema = table.schema_arrow
                sets = ([name for name in schema.names if name in names] for names in wanted)
                columns = next((names for names in sets if names), schema.names)
                decoders = {name: decode for name in columns if (decode := _json_decoder(schema.field(name)))}
                number = 0
                for batch in table.iter_batches(_BATCH_ROWS, columns=columns):
                    for row in batch.to_pylist():
                        number += 1
                        for name, decode in decoders.items():
                            row[name] = decode(row[name])
                        yield from rows.read(number, row)
        except (pyarrow.ArrowException, UnicodeDecodeError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{path} is damaged or not a Parquet file ({reason}); expected a whole one") from error

    return read


def columns(path: Path) -> tuple[dict[str, None], str]:
    """The names of a file's columns, as a row without values, and what a fingerprint says of it.

    There are none if the file cannot be read; reading says why.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        with open_stream(path, CorpusCounts()) as stream, seekable(stream) as file, parquet.ParquetFile(file) as table:
            schema = table.schema_arrow
            return dict.fromkeys(schema.names), "json" if any(map(_json_decoder, schema)) else ""
    except (pyarrow.ArrowException, OSError, ValueError, EOFError):
        return {}, ""


def _json_decoder(field: Any) -> Callable[[Any], Any] | None:
    """What decodes the JSON texts in the values of an Arrow field; None if there are none."""
    import pyarrow

    kind = field.type
    if _is_json(field):
        return _decoded
    if pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind):
        item = _json_decoder(kind.value_field)
        if item is not None:
            return lambda values: None if values is None else list(map(item, values))
    if pyarrow.types.is_struct(kind):
        members = {kind.field(index).name: _json_decoder(kind.field(index)) for index in range(kind.num_fields)}
        decoders = {name: decode for name, decode in members.items() if decode is not None}
        if decoders:
            return lambda value: (
                None if value is None else value | {name: decode(value[name]) for name, decode in decoders.items()}
            )
    return None


def _is_json(field: Any) -> bool:
    named = getattr(field.type, "extension_name", None) or (field.metadata or {}).get(b"ARROW:extension:name", b"")
    return named in ("arrow.json", b"arrow.json")


def _decoded(text: Any) -> Any:
    """The value of a JSON text; the text itself if it is none."""
    if not isinstance(text, str | bytes):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
