"""Moses' pairs: two files, `x.en` and `x.hu`, whose lines translate each other; each may be packed."""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from lai.data.sources.kinds import PACKED, packing_of
from lai.data.sources.reading import NumberedDocument, RowReader
from lai.data.sources.streams import CorpusCounts, raw_lines
from lai.host.errors import UserError
from lai.tokenizer.chat import translation_examples

NAME = "Moses pairs"
_PARTNERS = {".en": ".hu", ".eng": ".hun", ".hu": ".en", ".hun": ".eng"}


def partner(path: Path) -> Path | None:
    """The file beside it with the other language; None if there is none."""
    stem, ending, packed = _parts(path)
    other = _PARTNERS.get(ending.lower())
    if other is None:
        return None
    for spelled in (other.upper(), other) if ending.isupper() else (other, other.upper()):
        for packing in dict.fromkeys((packed, "", *PACKED)):
            if (found := path.with_name(stem + spelled + packing)).is_file():
                return found
    return None


def read(path: Path, counts: CorpusCounts, rows: RowReader) -> Iterator[NumberedDocument]:
    """Both directions of each pair, with the number of its line; a pair with a blank side is counted as skipped.

    Raises:
        UserError: the files have different numbers of lines.
    """
    other = partner(path)
    if other is None:
        raise UserError(f"{path} has no partner; expected {expected_partner(path)} beside it")
    english, hungarian = (
        _lines(path, counts),
        _lines(other, CorpusCounts(max_unpacked=counts.max_unpacked)),
    )  # each file's bytes count once
    for number, (left, right) in enumerate(zip_longest(english, hungarian), start=1):
        if left is None or right is None:
            longer, rest = (other, hungarian) if left is None else (path, english)
            if left or right or any(rest):  # blank lines at the end make no difference
                raise UserError(
                    f"{path} and {other} have different numbers of lines: {longer} has more, from line {number}; "
                    "expected a translation of each line"
                )
            return
        if left and right:
            for document in translation_examples(left, right):
                yield number, document
        elif left or right:
            counts.skipped += 1
        else:
            counts.empty += 1


def read_nothing(path: Path, counts: CorpusCounts, rows: RowReader) -> Iterator[NumberedDocument]:
    """The Hungarian file of a pair gives no documents of its own: the English one gives them."""
    return iter(())


def expected_partner(path: Path) -> str:
    """The name that the other file should have."""
    stem, ending, _ = _parts(path)
    return stem + _PARTNERS[ending.lower()]


def _parts(path: Path) -> tuple[str, str, str]:
    """A file's name in three: before its language, the language with its dot, and `.gz` or the like."""
    size = len(path.name) - len(packing_of(path))
    stem, dot, ending = path.name[:size].rpartition(".")
    return stem, dot + ending, path.name[size:]


def _lines(path: Path, counts: CorpusCounts) -> Iterator[bytes]:
    """All lines without line ends; a blank one is empty."""
    for line in raw_lines(path, counts):
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        yield line if line.strip() else b""
