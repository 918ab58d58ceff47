"""CSV and TSV tables: fields that may be quoted, a header that names the columns; a line is read as a row by its names.

The columns `source` and `target` are English and Hungarian in the order that their letters show.
"""

import csv
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lai.data.sources.formats.pairs import ENGLISH, HUNGARIAN
from lai.data.sources.formats.sides import english_first
from lai.data.sources.reading import NumberedDocument, RowReader
from lai.data.sources.streams import CorpusCounts, raw_lines

DELIMITERS = ",;\t|"
SAMPLE_BYTES = 1 << 18
"""The beginning of a file, by which its table is recognized."""

_SAMPLE_LINES = 200
_MAX_FIELD = 1 << 24  # characters; a quote that is never closed would take in the rest of the file
_SOURCE = ("source", "src", "source_text", "sentence1", "source_sentence")
_TARGET = ("target", "tgt", "trg", "target_text", "sentence2", "target_sentence")


@dataclass(frozen=True)
class Table:
    """How a file's lines are split, and what its columns are.

    Args:
        quoted: whether a field that starts with a quotation mark ends with one, and `""` inside is one.
        spaced: whether blanks after a delimiter do not count.
        names: the columns' names, from the header or 1, 2, 3.
        heading: how many lines with text there are up to the header's end: 0 without one.
    """

    delimiter: str
    quoted: bool
    spaced: bool
    names: tuple[str, ...]
    heading: int


@dataclass(frozen=True)
class Line:
    """One record of a table: the number of its first line, and its fields, or what is wrong with it."""

    number: int
    cells: list[bytes]
    fault: str = ""


def sample_lines(start: bytes) -> list[str]:
    """The first lines with text of a file that starts with these bytes, without line ends."""
    lines = start.decode("utf-8", "surrogateescape").split("\n")
    if len(start) >= SAMPLE_BYTES and len(lines) > 1:
        lines.pop()  # it may be cut
    return [line.removesuffix("\r") for line in lines if line.strip()][:_SAMPLE_LINES]


def table_with_header(
    lines: Sequence[str],
    is_known: Callable[[Sequence[str]], bool],
    delimiters: str = DELIMITERS,
    *,
    keep: bool = False,
) -> Table | None:
    """The table whose first line is a header of known names; None if the first line is none.

    Args:
        lines: as `sample_lines` gives them.
        is_known: whether a row with these columns is of a known shape.
        delimiters: the characters that may stand between fields.
        keep: the columns keep their names as they are written; else case does not count, and sides are called en, hu.
    """
    if not lines:
        return None
    heading, first, delimiters = _hint(lines, delimiters)
    for delimiter in delimiters:
        names = tuple(cell.strip() for cell in split_line(first, delimiter))
        called = names if keep else _as_pair(tuple(map(str.lower, names)), lines[heading:], delimiter)
        if is_known(called) and not _repeats(names, lines[heading:], delimiter):
            return _table(lines[heading - 1 :], delimiter, called, heading)
    return None


def table_by_number(lines: Sequence[str]) -> Table:
    """The table without a header, whose columns are called 1, 2, 3. Most lines agree on its delimiter and its width."""
    heading, _, delimiters = _hint(lines or [""], "\t" + DELIMITERS.replace("\t", ""))
    body = lines[heading:] if heading > 1 else lines
    chosen, width, most = delimiters[0], 1, 0
    for delimiter in delimiters:
        widths = Counter(len(split_line(line, delimiter)) for line in body)
        del widths[1]
        for found, number in widths.most_common(1):
            if number > most:
                chosen, width, most = delimiter, found, number
    return _table(body, chosen, tuple(str(number) for number in range(1, width + 1)), heading - 1)


def read(path: Path, counts: CorpusCounts, rows: RowReader, table: Table) -> Iterator[NumberedDocument]:
    """The documents of a table, each with the number of its first line.

    Raises:
        UserError: a line has more or fewer fields than the header, its quotes are wrong, or its row is no document.
    """
    for line in records(path, counts, table):
        fault = line.fault or _wrong_width(line.cells, table)
        if fault:
            yield from rows.refuse(line.number, fault)
        else:
            yield from rows.read(line.number, dict(zip(table.names, line.cells, strict=False)))


def records(path: Path, counts: CorpusCounts, table: Table) -> Iterator[Line]:
    """The records of a table without its header; blank lines are counted as empty."""
    csv.field_size_limit(_MAX_FIELD)
    lines = _Lines(line.decode("utf-8", "surrogateescape") for line in raw_lines(path, counts))
    reader = csv.reader(
        lines,
        delimiter=table.delimiter,
        quoting=csv.QUOTE_MINIMAL if table.quoted else csv.QUOTE_NONE,
        skipinitialspace=table.spaced,
        strict=True,
    )
    heading = table.heading
    while True:
        number = lines.start_record()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            lines.give_back()
            yield Line(number, [], f"not CSV ({error}); expected fields whose quotes are closed and doubled inside")
            continue
        if not any(cell.strip() for cell in cells):
            counts.empty += 1
        elif heading:
            heading -= 1
        else:
            yield Line(number, [cell.encode("utf-8", "surrogateescape") for cell in cells])


class _Lines(Iterator[str]):
    """Lines, of which those after the first of a faulty record can be read again as records of their own."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._again: deque[str] = deque()
        self._record: list[str] = []
        self._number = 1  # of the next line

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self._record.append(line)
        return line

    def start_record(self) -> int:
        """A record starts: the number of its first line."""
        self._number += len(self._record)
        self._record = []
        return self._number

    def give_back(self) -> None:
        """Only the first line of this record counts as read: a quote that is not closed took in the others."""
        self._again.extendleft(reversed(self._record[1:]))
        del self._record[1:]


def _hint(lines: Sequence[str], delimiters: str) -> tuple[int, str, str]:
    """Excel's first line `sep=;` is no header: the number of lines up to the header, the header, the delimiters."""
    if lines[0].startswith("sep=") and len(lines[0]) == 5 and len(lines) > 1:
        return 2, lines[1], lines[0][4]
    return 1, lines[0], delimiters


def _repeats(names: tuple[str, ...], body: Sequence[str], delimiter: str) -> bool:
    """Whether the line below has some of the names, too: then they are no names, but such as the languages of a row."""
    below = [cell.strip() for cell in split_line(body[0], delimiter)] if body else []
    return any(name and name == cell for name, cell in zip(names, below, strict=False))


def _as_pair(names: tuple[str, ...], body: Sequence[str], delimiter: str) -> tuple[str, ...]:
    """The names of columns with a pair's sides called en and hu; any other names as they are."""
    source, target = (
        next((index for index, name in enumerate(names) if name in known), None) for known in (_SOURCE, _TARGET)
    )
    sides = {**dict.fromkeys(ENGLISH, "en"), **dict.fromkeys(HUNGARIAN, "hu")}
    called = tuple(sides.get(name, name) for name in names)
    if source is None or target is None or {"en", "hu"} <= set(called):
        return called if len(set(called)) == len(called) else names
    cells = [split for line in body if len(split := split_line(line, delimiter)) == len(names)]
    forward = english_first([row[source] for row in cells], [row[target] for row in cells])
    english, hungarian = (target, source) if forward is False else (source, target)
    return tuple({english: "en", hungarian: "hu"}.get(index, name) for index, name in enumerate(called))


def _table(lines: Sequence[str], delimiter: str, names: tuple[str, ...], heading: int) -> Table:
    spaced = any(f'"{delimiter} "' in line for line in lines)
    quoted = delimiter != "\t" or _is_quoted(lines, delimiter, len(names))
    return Table(delimiter, quoted, spaced, names, heading)


def _is_quoted(lines: Sequence[str], delimiter: str, width: int) -> bool:
    """Whether quotation marks surround fields: with tabs between them, marks may as well be letters of the text."""
    records = csv.reader([line + "\n" for line in lines], delimiter=delimiter, strict=True)
    try:
        return all(len(cells) == width for cells in records)
    except csv.Error:
        return len(lines) >= _SAMPLE_LINES and records.line_num == len(lines)  # the last record may be cut


def split_line(line: str, delimiter: str) -> list[str]:
    """The fields of a line that may be quoted."""
    try:
        return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return line.split(delimiter)


def _wrong_width(cells: list[bytes], table: Table) -> str:
    width = len(table.names)
    if len(cells) < width or any(cell.strip() for cell in cells[width:]):
        found = "1 column" if len(cells) == 1 else f"{len(cells)} columns"
        return f"found {found}, expected {width}: {', '.join(table.names)}"
    return ""
