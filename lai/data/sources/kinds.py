"""The kinds of data files, by their names, how a place in one is named, and the command that prints one."""

import os
import shlex
from pathlib import Path

PACKED = {".gz": "gzip -dc", ".zst": "zstd -dc"}
"""The endings of packed files, and what unpacks them."""

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


def packing_of(path: Path) -> str:
    """How a file is packed, by its name: `.gz`, `.zst` or nothing."""
    return next((ending for ending in PACKED if path.name.lower().endswith(ending)), "")


def printable(file: Path) -> str:
    """A file's name as printable UTF-8; bytes that are not UTF-8 are escaped."""
    return os.fsencode(file).decode("utf-8", "backslashreplace")


def reading_command(file: Path) -> str:
    """The shell command that prints a file, unpacked: `gzip -dc x.txt.gz`, `cat x.txt`."""
    return f"{PACKED.get(packing_of(file), 'cat')} {shlex.quote(printable(file))}"
