"""The format of a data file, recognized by its ending and its beginning."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from string import Formatter

from lai.data.sources.formats import (
    delimited,
    json_rows,
    jsonl,
    moses,
    parquet,
    sentences,
    stories,
    tmx,
    tsv,
    txt,
)
from lai.data.sources.kinds import ENGLISH_FILE, HUNGARIAN_FILE, kind_of, place
from lai.data.sources.reading import DEFAULT_READING, NumberedDocument, Reading, RowReader
from lai.data.sources.rows import EXPECTED, OTHER_COLUMNS, ROW_COLUMNS, shape_of
from lai.data.sources.streams import CorpusCounts, beginning, damage_as_user_error, read_lines
from lai.data.sources.values import column_names
from lai.host.errors import UserError

_TEXT_START = 1 << 20  # bytes of a text file, in which a separator must be
_ANKI_LINES = 20


@dataclass(frozen=True)
class Format:
    """How one file is read.

    Args:
        name: what a person calls it.
        read: gives the documents of the file.
        since: empty for a file that was read so before formats had names, else what a fingerprint says of it.
        is_lines: whether each line is the text form of a document.
    """

    name: str
    read: Callable[[Path, CorpusCounts, RowReader], Iterator[NumberedDocument]]
    since: str = ""
    is_lines: bool = False


def recognize(path: Path, reading: Reading = DEFAULT_READING) -> Format:
    """The format of a file of a known kind.

    Raises:
        UserError: the file cannot be read, or is a table of unknown columns.
    """
    with damage_as_user_error(path):
        status = path.stat()
        wanted = _wanted(reading)
        return _recognized(path, status.st_size, status.st_mtime_ns, reading.maps_rows, wanted)


def holds_rows(path: Path, reading: Reading = DEFAULT_READING) -> bool:
    """Whether a `.json` or `.csv` file holds rows: an array of objects, or rows of a known shape.

    A damaged array counts as one, so that reading it says what is wrong.
    """
    if kind_of(path) == ".csv":
        return _is_table(path, reading)
    try:
        is_array = beginning(path, 1 << 10).lstrip()[:1] == b"["
    except (UserError, OSError):
        return True
    try:
        first = next(json_rows.values(path, CorpusCounts()), None)
    except UserError:
        return is_array
    if first is None:
        return is_array
    return isinstance(first, dict) and (is_array or reading.maps_rows or shape_of(first) is not None)


def _is_table(path: Path, reading: Reading) -> bool:
    if reading.maps_rows:
        return True
    try:
        recognize(path, reading)
    except UserError:
        return False
    return True


def _wanted(reading: Reading) -> tuple[str, ...]:
    """The columns of a file that `data.columns`, or else the template, name."""
    fields = list((reading.columns or {}).values())
    if not fields and reading.template is not None:
        fields = [field for _, field, _, _ in Formatter().parse(reading.template) if field]
    return tuple(dict.fromkeys(field.split(".")[0] for field in fields))


@lru_cache(maxsize=4096)
def _recognized(path: Path, size: int, modified: int, is_mapped: bool, wanted: tuple[str, ...]) -> Format:
    """The format of a file that has this size and time: a changed file is looked at again."""
    match kind_of(path):
        case ".txt":
            return _text(path)
        case ".jsonl":
            return Format(f"JSON lines of {_shape(_first_of_lines(path), is_mapped)}", jsonl.read)
        case ".json":
            return Format(f"JSON of {_shape(_first_of_json(path), is_mapped)}", json_rows.read, "json")
        case ".parquet":
            columns, since = parquet.columns(path)
            sets = () if is_mapped else (ROW_COLUMNS, OTHER_COLUMNS)
            return Format(f"Parquet of {_shape(columns, is_mapped)}", parquet.reader(sets), since)
        case ".tmx":
            return Format(tmx.NAME, tmx.read, "tmx")
        case kind if kind == ENGLISH_FILE:
            return Format(moses.NAME, moses.read, "moses")
        case kind if kind == HUNGARIAN_FILE:
            return Format(moses.NAME, moses.read_nothing, "moses")
        case ".tsv":
            return _tab_separated(path, is_mapped, wanted)
        case ".csv":
            return _comma_separated(path, is_mapped, wanted)
    raise AssertionError(path)


def _text(path: Path) -> Format:
    start = beginning(path, _TEXT_START)
    if stories.matches(start):
        return Format(stories.NAME, stories.read, "stories")
    lines = delimited.sample_lines(start[: delimited.SAMPLE_BYTES])[:_ANKI_LINES] if b"CC" in start else []
    if sentences.matches_anki(lines) and (layout := sentences.layout(lines, _raw_table(lines))):
        return _sentences(layout)
    return Format("text", txt.read, is_lines=True)


def _sample(path: Path) -> list[str]:
    """The first lines of a table."""
    return delimited.sample_lines(beginning(path, delimited.SAMPLE_BYTES))


def _tab_separated(path: Path, is_mapped: bool, wanted: Sequence[str]) -> Format:
    lines = _sample(path)
    if is_mapped and (table := _mapped_table(lines, wanted, "\t")):
        return _table(table, "TSV", is_mapped)
    if table := delimited.table_with_header(lines, _is_known, "\t"):
        return _table(table, "TSV", is_mapped)
    columns = [line.count("\t") + 1 for line in lines]
    is_wide = sum(number > 2 for number in columns) > len(columns) / 2
    if is_wide and (layout := sentences.layout(lines, _raw_table(lines))):
        return _sentences(layout)
    return Format(tsv.NAME, tsv.read)


def _comma_separated(path: Path, is_mapped: bool, wanted: Sequence[str]) -> Format:
    lines = _sample(path)
    if is_mapped:
        if table := _mapped_table(lines, wanted):
            return _table(table, "CSV", is_mapped)
        expected = ", ".join(wanted)
        raise UserError(f"{place(path, 1)}: found {column_names(lines[:1])}; expected a header with {expected}")
    if table := delimited.table_with_header(lines, _is_known):
        return _table(table, "CSV", is_mapped)
    table = delimited.table_by_number(lines)
    is_raw = table.delimiter == "\t" and not table.quoted
    if layout := sentences.layout(lines, table, sure=not is_raw):
        return _sentences(layout)
    if not lines:
        return Format("CSV", lambda path, counts, rows: iter(()), "csv")
    raise UserError(
        f"{place(path, 1)}: found the columns {column_names(delimited.split_line(lines[0], table.delimiter))}; "
        f"expected a header with {EXPECTED}; name others by data.columns or data.template: "
        "data.columns={en: first, hu: second}, or by numbers without a header: data.columns={en: 1, hu: 2}"
    )


def _mapped_table(
    lines: Sequence[str], wanted: Sequence[str], delimiters: str = delimited.DELIMITERS
) -> delimited.Table | None:
    """The table of whose columns `data.columns` names some, by number if it has no header; None if it has none."""
    if wanted and all(name.isdigit() for name in wanted):
        return delimited.table_by_number(lines)
    return delimited.table_with_header(lines, lambda names: set(wanted) <= set(names), delimiters, keep=True)


def _raw_table(lines: Sequence[str]) -> delimited.Table:
    """Columns between tabs, without quotes or a header."""
    names = tuple(str(number) for number in range(1, max((line.count("\t") for line in lines), default=0) + 2))
    return delimited.Table("\t", quoted=False, spaced=False, names=names, heading=0)


def _table(table: delimited.Table, kind: str, is_mapped: bool) -> Format:
    shape = _shape(dict.fromkeys(table.names), is_mapped)
    delimiter = {"\t": "tabs", ";": "semicolons", ",": "commas", "|": "bars"}.get(table.delimiter, table.delimiter)
    between = "" if kind == "TSV" or delimiter == "commas" else f" with {delimiter}"
    return Format(f"{kind} of {shape}{between}", partial(delimited.read, table=table), repr(table))


def _sentences(layout: sentences.Layout) -> Format:
    return Format(layout.name, partial(sentences.read, layout=layout), repr(layout))


def _is_known(names: Sequence[str]) -> bool:
    return shape_of(dict.fromkeys(names)) is not None


def _shape(row: object, is_mapped: bool) -> str:
    if is_mapped:
        return "rows as data.columns and data.template say"
    return (shape_of(row) if isinstance(row, dict) else None) or "unknown rows"


def _first_of_lines(path: Path) -> object:
    for _, line in read_lines(path, CorpusCounts()):
        try:
            return jsonl.parse_row(line)
        except (ValueError, RecursionError):
            return None
    return None


def _first_of_json(path: Path) -> object:
    try:
        return next(json_rows.values(path, CorpusCounts()), None)
    except UserError:
        return None  # reading says what is wrong
