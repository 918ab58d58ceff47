"""Stories whose paragraphs are lines of their own, and so documents of their own."""

import re

import numpy as np
from numpy.typing import NDArray

_MIN_GROUPS = 5
_MIN_LONG = 0.5  # share of the groups between blank lines that have two paragraphs or more
_MIN_LINES = 20
_MIN_APART = 0.8  # share of lines that are alone between blank lines
_MIN_CARRYING_ON = 0.2  # share of those that carry on what the line before began
_CARRIES_ON = re.compile(
    '["“„‘»–—-]|(?:He|She|They|It|His|Her|Their|But|And|Then|So|Now|Soon|Suddenly|Later|After that|Finally|De|És|Aztán|'
    "Ekkor|Majd|Végül|Azonban|Egyszer csak|Hirtelen|Később|Ő|Ők|Így)\\b".encode()
)


class Tearing:
    """Counts the lines of one `.txt` file between blank ones."""

    def __init__(self) -> None:
        self.lines = 0
        self._groups = self._long = self._alone = self._carrying_on = self._tagged = 0
        self._head: int | None = None  # lines of the group before the first blank line
        self._open = 0  # lines of the group that is not yet at its end

    def add(self, texts: list[bytes], kept: NDArray[np.bool_]) -> None:
        """Count the next lines; `kept` says which hold text."""
        filled = int(kept.sum())
        self.lines += filled
        if filled == len(texts):
            self._open += filled
            return
        self._tagged += sum(text.startswith(b"<") for text in texts)
        blank = np.flatnonzero(~kept)
        sizes = np.diff(blank, prepend=-1) - 1
        self._close(int(sizes[0]))
        self._count(sizes[1:])
        self._open = len(texts) - 1 - int(blank[-1])
        self._carrying_on += sum(_CARRIES_ON.match(text) is not None for text in texts)

    def merge(self, following: "Tearing") -> None:
        """Add what was counted of the lines that follow."""
        self.lines += following.lines
        if following._head is None:
            self._open += following._open
            return
        self._close(following._head)
        self._groups += following._groups
        self._long += following._long
        self._alone += following._alone
        self._carrying_on += following._carrying_on
        self._tagged += following._tagged
        self._open = following._open

    def _close(self, lines: int) -> None:
        """End the open group with so many more lines."""
        if self._head is None:
            self._head = self._open + lines
        else:
            self._count(np.array([self._open + lines]))

    def _count(self, sizes: NDArray[np.int64]) -> None:
        sizes = sizes[sizes > 0]
        self._groups += len(sizes)
        self._long += int((sizes > 1).sum())
        self._alone += int((sizes == 1).sum())

    def groups(self) -> int:
        """The number of stories between blank lines; 0 where the lines are no torn stories; -1: their ends are lost."""
        if self._head is not None:
            self._count(np.array([self._head, self._open]))
            self._head = self._open = 0
        if self._groups < _MIN_GROUPS or self._tagged > self.lines / 2:
            return 0
        if self._long >= _MIN_LONG * self._groups:
            return self._groups
        alone = self.lines >= _MIN_LINES and self._alone >= _MIN_APART * self.lines
        return -1 if alone and self._carrying_on >= _MIN_CARRYING_ON * self.lines else 0
