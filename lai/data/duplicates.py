"""Counting different documents exactly, in memory that does not grow with their number."""

from hashlib import blake2b
from pathlib import Path

import numpy as np

from lai.data.markup import Document

_DIGEST_BYTES = 16
_HELD_BYTES = 1 << 20


class DuplicateCounter:
    """Counts different documents by 16-byte digests, spilled into 256 files by their first byte.

    Args:
        folder: an empty folder of the counter's own; the caller removes it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held = bytearray()

    def add(self, document: Document) -> None:
        digest = blake2b(digest_size=_DIGEST_BYTES)
        for turn in document:
            # The length before the content keeps apart what would look alike as text, such as tags inside a content.
            digest.update(b"%b %d " % (turn.role.encode(), len(turn.content)))
            digest.update(turn.content)
        self._held += digest.digest()
        if len(self._held) >= _HELD_BYTES:
            self._spill()

    def count(self) -> int:
        """How many different documents were added."""
        self._spill()
        return sum(_count_different(file) for file in self._folder.iterdir())

    def _spill(self) -> None:
        digests = np.frombuffer(bytes(self._held), np.uint8).reshape(-1, _DIGEST_BYTES)
        self._held.clear()
        digests = digests[np.argsort(digests[:, 0], kind="stable")]
        starts = np.flatnonzero(np.diff(digests[:, 0].astype(np.int16), prepend=-1))
        for bucket in np.split(digests, starts[1:]):
            if len(bucket):
                with (self._folder / f"{bucket[0, 0]:02x}").open("ab") as file:
                    file.write(bucket.tobytes())


def _count_different(file: Path) -> int:
    halves = np.fromfile(file, np.uint64).reshape(-1, 2)
    halves = halves[np.lexsort((halves[:, 1], halves[:, 0]))]
    return 1 + int(np.any(halves[1:] != halves[:-1], axis=1).sum())
