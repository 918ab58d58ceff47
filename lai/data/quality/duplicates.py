"""Equal texts, found in memory that does not grow with their number."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lai.host.errors import UserError
from lai.host.files import FULL

_HELD_BYTES = 16 << 20  # of a million texts


class _Buckets:
    """Rows of 16 bytes. More than are held are spilled into 256 files of a folder by their first byte."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held = bytearray()
        self._is_spilled = False

    def add(self, rows: bytes) -> None:
        self._held += rows
        if len(self._held) >= _HELD_BYTES:
            self._spill()

    def read(self) -> Iterator[NDArray[np.uint64]]:
        """The rows of one file after another, (rows, 2); equal first halves are in the same file."""
        if not self._is_spilled:
            yield np.frombuffer(bytes(self._held), np.uint64).reshape(-1, 2)
            return
        self._spill()
        for file in sorted(self._folder.iterdir()):
            yield np.fromfile(file, np.uint64).reshape(-1, 2)

    def _spill(self) -> None:
        self._is_spilled = True
        rows = np.frombuffer(bytes(self._held), np.uint8).reshape(-1, 16)
        self._held.clear()
        rows = rows[np.argsort(rows[:, 0], kind="stable")]
        starts = np.flatnonzero(np.diff(rows[:, 0].astype(np.int16), prepend=-1))
        for bucket in np.split(rows, starts[1:]):
            if len(bucket):
                try:
                    with (self._folder / f"{bucket[0, 0]:02x}").open("ab") as file:
                        file.write(bucket.tobytes())
                except OSError as error:
                    if error.errno not in FULL:
                        raise
                    raise UserError(
                        f"{self._folder.parent}, the folder for temporary files, is full; "
                        "give another one: TMPDIR=FOLDER"
                    ) from None


def hashes_of(texts: Sequence[bytes]) -> NDArray[np.uint64]:
    """A hash of each text, the same in every process; (texts,)."""
    return np.frombuffer(b"".join([blake2b(text, digest_size=8).digest() for text in texts]), np.uint64)


class DuplicateFinder:
    """Finds texts that occurred before, many at a time, by a 64-bit hash.

    Among ten million texts the chance that any two different ones have the same hash is one in 300,000.

    Args:
        folder: an empty folder of the finder's own; the caller removes it.
    """

    def __init__(self, folder: Path) -> None:
        self._buckets = _Buckets(folder)

    def add(self, hashes: NDArray[np.uint64], numbers: NDArray[np.int64]) -> None:
        """Add texts by their `hashes_of`, each with a number to find it again by, rising from call to call."""
        rows = np.empty((len(hashes), 2), np.uint64)
        rows[:, 0] = hashes
        rows[:, 1] = numbers
        self._buckets.add(rows.tobytes())

    def duplicates(self, first: int) -> tuple[int, list[int]]:
        """How many texts occurred before, and the numbers of the `first` ones."""
        count = 0
        found = np.empty(0, np.uint64)
        for rows in self._buckets.read():
            rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
            again = rows[1:, 1][rows[1:, 0] == rows[:-1, 0]]
            count += len(again)
            found = np.sort(np.concatenate((found, again)))[:first]
        return count, [int(number) for number in found]
