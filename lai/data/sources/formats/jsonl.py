"""JSON lines: an object a line, read as a row."""

import json
from collections.abc import Iterator
from pathlib import Path

from lai.data.sources.rows import describe, documents_of_row
from lai.data.sources.streams import CorpusCounts, read_lines
from lai.host.errors import UserError
from lai.tokenizer.chat import Document


def read(path: Path, counts: CorpusCounts) -> Iterator[tuple[int, Document]]:
    """The documents of a `.jsonl` file, each with the number of its line.

    Raises:
        UserError: a line is no JSON object, or a row that is no document.
    """
    for number, line in read_lines(path, counts):
        try:
            # Lone surrogates, written raw or as \uD800, are kept as the three bytes that they would be in UTF-8.
            row = json.loads(line.decode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}:{number}: not JSON ({error}); expected one object a line") from error
        if not isinstance(row, dict):
            raise UserError(f'{path}:{number}: found {describe(row)}; expected an object such as {{"text": "…"}}')
        for document in documents_of_row(f"{path}:{number}", row, counts):
            yield number, document
