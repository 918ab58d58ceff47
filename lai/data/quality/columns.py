"""The columns of pairs in a `.tsv` file as its lines stand: lines that are no pair, a header, sides without text.

Tables with a header, and other tables of known columns, have a reader of their own that says what is wrong.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from lai.data.sources.streams import CorpusCounts, read_chunks

_CHUNK_BYTES = 1 << 22
# What the columns of translations are called, without their case and quotes.
_NAMES = frozenset(
    (  # noqa: SIM905 - a list of words is easier to read as a text
        "en eng english angol hu hun hungarian magyar source src target tgt sentence sentences mondat text szöveg id "
        "sentence1 sentence2 translation fordítás source_lang target_lang lang english_text hungarian_text en-us "
        "en_us hu-hu hu_hu source_text target_text original eredeti score"
    ).split()
)
Found = tuple[str, int]
"""The check, and the number of the line."""


def column_faults(file: Path) -> Iterator[Found]:
    """Each fault of a `.tsv` file's columns.

    A line with more or fewer columns than most lines of its part of the file is at fault.
    """
    before = 0
    for lines in _line_lists(file):
        tabs = Counter(line.count(b"\t") for line in lines if line.strip())
        usual = max(1, tabs.most_common(1)[0][0]) if tabs else 1
        for number, line in enumerate(lines, before + 1):
            if number == 1 and _is_header(line):
                yield "header line", number
            elif not line.strip():
                continue
            elif line.count(b"\t") != usual:
                yield "columns", number
            elif _may_lack_text(line) and not all(column.strip() for column in line.split(b"\t")[:2]):
                yield "empty sides", number
        before += len(lines)


def _may_lack_text(line: bytes) -> bool:
    """Whether one of a line's columns may be blank; quick, as it is for most lines not."""
    return line[:1] in b"\t " or line[-1:] in b"\t " or b"\t\t" in line or b"\t " in line


def _is_header(line: bytes) -> bool:
    names = [name.strip(' "\ufeff').casefold() for name in line.decode("utf-8", "replace").split("\t")]
    return len(names) > 1 and all(name in _NAMES for name in names)


def _line_lists(file: Path) -> Iterator[list[bytes]]:
    begun = b""
    for chunk in read_chunks(file, CorpusCounts(), _CHUNK_BYTES):
        lines = (begun + chunk).split(b"\n")
        begun = lines.pop()
        if lines:
            yield [line.removesuffix(b"\r") for line in lines] if b"\r" in chunk else lines
    if begun:
        yield [begun.removesuffix(b"\r")]
