"""The kinds of data files, by their names, and how a place in one is named."""

from pathlib import Path

from lai.data.sources.streams import PACKED, packing_of

ENGLISH_FILE, HUNGARIAN_FILE = ".en", ".hu"
KINDS = (".txt", ".jsonl", ".tsv", ".parquet", ".json", ".csv", ".tmx", ENGLISH_FILE, HUNGARIAN_FILE)
_OTHER_ENDINGS = {".ndjson": ".jsonl", ".eng": ENGLISH_FILE, ".hun": HUNGARIAN_FILE}
_COUNTED_BY_ROWS = (".parquet", ".json")

EXPECTED_ENDINGS = (
    f"expected files ending in {', '.join(KINDS[:-2])} or pairs of .en and .hu (each also with {' or '.join(PACKED)})"
)


def kind_of(path: Path) -> str | None:
    """The kind of a file by its name (`.txt` for `a.txt` and `a.TXT.gz`); None for an unknown kind."""
    name = path.name.lower()
    name = name[: len(name) - len(packing_of(path))]
    found = next((kind for kind in (*KINDS, *_OTHER_ENDINGS) if name.endswith(kind)), None)
    return None if found is None else _OTHER_ENDINGS.get(found, found)


def place(path: Path, number: int) -> str:
    """Where a document is, as `file:line` or `file: row number`."""
    return f"{path}: row {number}" if kind_of(path) in _COUNTED_BY_ROWS else f"{path}:{number}"
