"""JSON lines: an object a line, read as a row."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lai.data.sources.reading import NumberedDocument, RowReader
from lai.data.sources.streams import CorpusCounts, read_lines


def read(path: Path, counts: CorpusCounts, rows: RowReader) -> Iterator[NumberedDocument]:
    """The documents of a `.jsonl` file, each with the number of its line.

    Raises:
        UserError: a line is no JSON object, or a row that is no document.
    """
    for number, line in read_lines(path, counts):
        try:
            row = parse_row(line)
        except (ValueError, RecursionError) as error:
            yield from rows.refuse(number, f"not JSON ({error}); expected one object a line")
        else:
            yield from rows.read(number, row)


def parse_row(line: bytes) -> Any:
    """The value of a line. Lone surrogates, raw or as \\uD800, are kept as the three bytes that UTF-8 would give them.

    Raises:
        ValueError, RecursionError: it is no JSON.
    """
    return json.loads(line.decode("utf-8", "surrogatepass"))
