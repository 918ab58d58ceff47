"""Sentences without a header, as Tatoeba and Anki write them: columns are chosen by what stands in them.

Tatoeba: `id TAB language TAB text`, or pairs as `id TAB text TAB id TAB text`. Anki (manythings.org):
`English TAB Hungarian TAB attribution`. In general, two columns of text, of which letters show the language, are pairs;
columns of numbers, languages, dates, addresses and attributions are left out. Of more columns of text, the only one in
each language counts.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lai.data.sources.formats.delimited import Table, records, split_line
from lai.data.sources.formats.sides import choose_sides, english_first
from lai.data.sources.reading import NumberedDocument, RowReader
from lai.data.sources.streams import CorpusCounts
from lai.tokenizer.chat import plain, translation_examples

TATOEBA = "Tatoeba sentences"
TATOEBA_PAIRS = "Tatoeba pairs"
ANKI = "Anki pairs"
PAIRS = "pairs in columns"

_LANGUAGES = (b"eng", b"hun", b"en", b"hu")
_MOST = 0.9  # share of the lines of a sample that have the kind of their column
_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)?")
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:[-_][A-Za-z]{2,4})?|\\N")
_OTHER = re.compile(r"https?://\S+|\d{4}-\d\d-\d\d.*|CC[- ]BY.*|.*tatoeba\.org.*|\\N", re.DOTALL)


@dataclass(frozen=True)
class Layout:
    """Which columns, from 0, hold what: a language and a text, or an English and a Hungarian text."""

    name: str
    table: Table
    language: int | None
    text: tuple[int, ...]


def layout(lines: Sequence[str], table: Table, *, sure: bool = False) -> Layout | None:
    """What the columns of a table without a header hold; None if that is not clear.

    Args:
        lines: the first lines, as `delimited.sample_lines` gives them.
        sure: two columns of text are pairs only if both languages show.
    """
    split = [split_line(line, table.delimiter) if table.quoted else line.split(table.delimiter) for line in lines]
    split = [[cell.strip() for cell in cells] for cells in split]
    width = max((len(cells) for cells in split), key=lambda n: sum(len(cells) == n for cells in split), default=0)
    rows = [cells for cells in split if len(cells) == width]
    if width < 2 or len(rows) < _MOST * len(split):
        return None
    kinds = [_kind([cells[index] for cells in rows]) for index in range(width)]
    if kinds[:2] == ["number", "language"] and width > 2:
        return Layout(TATOEBA, table, 1, (2,))
    texts = [index for index, kind in enumerate(kinds) if kind == "text"]
    if len(texts) == 1 and "language" in kinds and kinds.count("language") == 1:
        return Layout(TATOEBA, table, kinds.index("language"), (texts[0],))
    columns = [[cells[index] for cells in rows] for index in texts]
    if len(texts) == 2 and not sure:
        chosen = (1, 0) if english_first(*columns) is False else (0, 1)
    elif (sides := choose_sides(columns)) is not None:
        chosen = sides
    else:
        return None
    name = TATOEBA_PAIRS if kinds == ["number", "text"] * 2 else ANKI if kinds == ["text", "text", "other"] else PAIRS
    return Layout(name, table, None, tuple(texts[index] for index in chosen))


def matches_anki(lines: Sequence[str]) -> bool:
    """Whether the lines of a text file are Anki's: an attribution stands in the third of three columns."""
    return bool(lines) and all(
        len(cells := line.split("\t")) == 3 and cells[2].startswith(("CC-BY", "CC BY")) for line in lines
    )


def read(path: Path, counts: CorpusCounts, rows: RowReader, layout: Layout) -> Iterator[NumberedDocument]:
    """The documents of a file, each with the number of its line: the sentences, or both directions of each pair.

    Lines with too few columns or a blank text, and sentences in other languages, are counted as skipped.

    Raises:
        UserError: quotes are not closed.
    """
    for line in records(path, counts, layout.table):
        if line.fault:
            yield from rows.refuse(line.number, line.fault)
            continue
        cells = line.cells
        needed = max(*layout.text, layout.language or 0)
        texts = [cells[index].strip() for index in layout.text] if len(cells) > needed else []
        foreign = texts and layout.language is not None and cells[layout.language].strip() not in _LANGUAGES
        if not texts or not all(texts) or foreign:
            counts.skipped += 1
        elif layout.language is not None:
            yield line.number, plain(texts[0])
        else:
            for document in translation_examples(texts[0], texts[1]):
                yield line.number, document


def _kind(cells: Sequence[str]) -> str:
    """What a column holds: number, language, other or text."""
    for kind, pattern in (("number", _NUMBER), ("language", _LANGUAGE), ("other", _OTHER)):
        if sum(pattern.fullmatch(cell) is not None for cell in cells) >= _MOST * len(cells):
            return kind
    return "text"
