"""Text files: a document a line.

Only a line feed ends a line; one carriage return before it is dropped. U+2028, Unicode's line separator, is a line end
inside the document.
"""

from collections.abc import Iterator
from pathlib import Path

from lai.data.sources.reading import NumberedDocument, RowReader
from lai.data.sources.streams import CorpusCounts, read_lines
from lai.tokenizer.chat import parse_line


def read(path: Path, counts: CorpusCounts, rows: RowReader) -> Iterator[NumberedDocument]:
    """The documents of a text file, each with the number of its line."""
    for number, line in read_lines(path, counts):
        yield number, parse_line(line)
