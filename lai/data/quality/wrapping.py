"""Whether a text's lines are whole paragraphs or paragraphs wrapped at some width."""

import numpy as np
from numpy.typing import NDArray

_WIDTHS = (40, 140)  # characters: narrower ones are lists and verse, wider ones paragraphs
_MIN_LENGTH = 30  # of a line that counts: no shorter line was wrapped
_MIN_BREAKS = 10
_SLACK = 3  # editors and people wrap a little early
# Measured: of text with one paragraph a line, translations of menus and dictionaries at most 0.38 of 0.08 of the lines
# break at one width; of wrapped text at least 0.8 of a quarter of the lines, by a program all.
_MIN_FULL = 0.7
_MIN_SHARE = 0.1
_MAX_SAME_LENGTH = 0.6  # lines that all have one length are records, not wrapped prose
_ENDS = frozenset(".!?:;…\"'”’»)]}>|")


class Wrapping:
    """Counts the lines of one file that break off inside a sentence because they are full.

    A line is full at a width if it fits into it, and would not with the first word of the next line. In wrapped text,
    nearly all lines that break off (no sentence ends, and the next line begins with a small letter) are full at one
    width. In other text, hardly any line breaks off.
    """

    def __init__(self) -> None:
        self.lines = 0
        """Lines with text."""
        self.blank = 0
        self._first: str | None = None
        self._last = ""  # the line before the next one
        # How many lines are full from this width on, and at how many it ends.
        self._lengths = np.zeros(_WIDTHS[1] + 1, np.int64)
        self._beyond = np.zeros(_WIDTHS[1] + 1, np.int64)

    def add(self, lines: list[str], lengths: NDArray[np.int64]) -> None:
        """Count the next lines, which have so many characters each; empty ones too."""
        if self._first is None:
            self._first = lines[0]
        filled = int(np.count_nonzero(lengths))
        self.lines += filled
        self.blank += len(lines) - filled
        before = np.concatenate(([len(self._last)], lengths[:-1]))
        fitting = (before >= _MIN_LENGTH) & (before <= _WIDTHS[1]) & (lengths > 0)
        breaks: list[tuple[int, int]] = []
        for index in np.flatnonzero(fitting).tolist():
            line, following = lines[index - 1] if index else self._last, lines[index]
            if following[0] in " \t":
                following = following.lstrip()
            if following[:1].islower() and line[-1] not in _ENDS:
                breaks.append((len(line), len(line) + 1 + len(following.split(None, 1)[0]) + _SLACK))
        if breaks:
            shortest, widest = np.minimum(breaks, _WIDTHS[1]).T
            self._lengths += np.bincount(shortest, minlength=_WIDTHS[1] + 1)
            self._beyond += np.bincount(widest, minlength=_WIDTHS[1] + 1)
        self._last = lines[-1]

    def merge(self, following: "Wrapping") -> None:
        """Count the lines that another one has counted, which follow those of this one."""
        if following._first is None:
            return
        lines, blank = self.lines, self.blank
        self.add([following._first], np.array([len(following._first)]))  # the edge between the two
        self.lines, self.blank = lines + following.lines, blank + following.blank
        self._lengths += following._lengths
        self._beyond += following._beyond
        self._last = following._last

    def width(self) -> int | None:
        """The width in characters at which the lines are wrapped, or None where they are not."""
        breaks = int(self._lengths.sum())
        full = np.cumsum(self._lengths - self._beyond)
        full[: _WIDTHS[0]] = 0
        width = int(full.argmax())
        most = int(full[width])
        wrapped = (
            breaks >= _MIN_BREAKS
            and most >= _MIN_FULL * breaks
            and most >= _MIN_SHARE * self.lines
            and int(self._lengths.max()) <= _MAX_SAME_LENGTH * most
        )
        return width if wrapped else None
