"""The columns of pairs in a `.tsv` file as its lines stand: lines that are no pair, a header, sides without text.

Tables with a header, and other tables of known columns, have a reader of their own that says what is wrong.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from lai.data.sources.chunks import read_lines_in_chunks
from lai.data.sources.streams import CorpusCounts

# What the columns of translations are called, without their case and quotes.
_NAMES = frozenset(
    (  # noqa: SIM905 - a list of words is easier to read as a text
        "en eng english angol hu hun hungarian magyar source src target tgt sentence sentences mondat text szöveg id "
        "sentence1 sentence2 translation fordítás source_lang target_lang lang english_text hungarian_text en-us "
        "en_us hu-hu hu_hu source_text target_text original eredeti score"
    ).split()
)
_BLANKS = (b"\t", b" ", b"")
Found = tuple[str, int]
"""The check, and the number of the line."""


def column_faults(file: Path, max_unpacked: int | None = None) -> Iterator[Found]:
    """Each fault of a `.tsv` file's columns.

    A line with more or fewer columns than most lines of its part of the file is at fault.

    Args:
        max_unpacked: `data.max_unpacked`.
    """
    for chunk in read_lines_in_chunks(file, CorpusCounts(max_unpacked=max_unpacked)):
        lines, before = chunk.lines(), chunk.numbers[0] - 1
        tabs = [line.count(b"\t") for line in lines]
        widths = Counter(count for count, line in zip(tabs, lines, strict=True) if line.strip())
        usual = max(1, widths.most_common(1)[0][0]) if widths else 1
        # A sound line is one of `usual` tabs without a blank beside one, or at an end; most are.
        doubtful = [
            index
            for index, line in enumerate(lines)
            if tabs[index] != usual or line[:1] in _BLANKS or line[-1:] in _BLANKS or b"\t\t" in line or b"\t " in line
        ]
        if not before and lines and 0 not in doubtful[:1]:
            doubtful.insert(0, 0)
        for index in doubtful:
            line, number = lines[index], before + index + 1
            if number == 1 and _is_header(line):
                yield "header line", number
            elif not line.strip():
                continue
            elif tabs[index] != usual:
                yield "columns", number
            elif not all(column.strip() for column in line.split(b"\t")[:2]):
                yield "empty sides", number


def _is_header(line: bytes) -> bool:
    names = [name.strip(' "\ufeff').casefold() for name in line.decode("utf-8", "replace").split("\t")]
    return len(names) > 1 and all(name in _NAMES for name in names)
