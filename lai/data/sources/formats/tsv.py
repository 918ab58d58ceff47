"""Pairs of sentences: English TAB Hungarian. A pair is two documents, one for each direction."""

from collections.abc import Iterator
from pathlib import Path

from lai.data.sources.reading import NumberedDocument, RowReader
from lai.data.sources.streams import CorpusCounts, read_lines
from lai.host.errors import UserError
from lai.tokenizer.chat import translation_examples

NAME = "TSV pairs"


def read(path: Path, counts: CorpusCounts, rows: RowReader) -> Iterator[NumberedDocument]:
    """The documents of a `.tsv` file, each with the number of its line; lines that are no pair are counted as skipped.

    Raises:
        UserError: more than half of the lines are no pair.
    """
    good = bad = first_bad = 0
    for number, line in read_lines(path, counts):
        columns = line.split(b"\t")
        if len(columns) == 2 and columns[0].strip() and columns[1].strip():
            good += 1
            for document in translation_examples(columns[0], columns[1]):
                yield number, document
        else:
            bad += 1
            first_bad = first_bad or number
    counts.skipped += bad
    if bad > good:
        raise UserError(
            f"{path}:{first_bad}: {bad} of {good + bad} lines are not two non-empty columns; "
            "expected English, a tab, Hungarian, or a header of known columns; map others by data.columns"
        )
