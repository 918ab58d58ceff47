"""Documents packed into rows of equal length, and the order of the rows: a pure function of a seed and the epoch.

A document of n tokens gives n - 1 predictions: each token but the last is an input, the one after it the target. A row
has room for `seq_len` predictions of several documents, which do not see each other. What stays free is padding.

Training: documents of up to half a row are never cut. Which lengths share a row is settled once, by filling rows in a
random order, then filling the gaps with the best-fitting documents of a small reserve; so every epoch has the same
number of rows. Which of the documents of one length takes which place is drawn anew for every epoch. Longer documents
are laid end to end, in another order every epoch, and cut where a row ends; the next row goes on with the next
prediction, so that each prediction is made exactly once an epoch. The rows are shuffled.

Validation: only documents longer than a row are cut, each from its own start, so that no document's loss depends on its
neighbours. Rows are filled best-fit, longest documents first; their order is fixed, and mixed so that the first
batches alone are a fair sample.

Nothing here takes a step of Python for each document.
"""

from bisect import bisect_left, insort
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

NO_PIECES: Ints = np.zeros((0, 3), np.int64)
"""A row that is padding alone."""

_RESERVE = 8  # one document in so many is kept back to fill gaps


@dataclass(frozen=True)
class PackedRows:
    """The rows of an epoch in their order: `rows[i]` is (pieces, 3): document, its first prediction, how many."""

    pieces: Ints  # (pieces, 3), a row's pieces side by side
    starts: Ints  # (rows + 1,), where each row's pieces start
    order: Ints  # (rows,)

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> Ints:
        row = self.order[index]
        return self.pieces[self.starts[row] : self.starts[row + 1]]


class Rows(Protocol):
    """The rows of an epoch in their order, each (pieces, 3) as in `PackedRows`."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Ints: ...


class Packing(Protocol):
    """How documents become rows; the number of rows is that of every epoch."""

    n_rows: int

    def epoch(self, epoch: int) -> Rows: ...


class TrainingPacking:
    """Packing for training; see the module's text.

    Args:
        lengths: (documents,), the number of predictions of each document, at least 1.
    """

    def __init__(self, lengths: Ints, seq_len: int, seed: int) -> None:
        self._lengths, self._seq_len, self._seed = lengths, seq_len, seed
        is_long = lengths > seq_len // 2
        self._short, self._long = np.flatnonzero(~is_long), np.flatnonzero(is_long)
        self._short_slots, self._short_starts = self._share_rows()
        self._n_short_rows = len(self._short_starts) - 1
        self.n_rows = self._n_short_rows + _ceil_div(int(lengths[is_long].sum()), seq_len)

    def epoch(self, epoch: int) -> PackedRows:
        random = _random(self._seed, epoch + 1)
        short = _by_length(random.permutation(self._short), self._lengths)[self._short_slots]
        short_pieces = np.stack((short, np.zeros_like(short), self._lengths[short]), axis=1)
        long_pieces, long_rows = _cut_at_row_ends(random.permutation(self._long), self._lengths, self._seq_len)
        counts = np.bincount(long_rows, minlength=self.n_rows - self._n_short_rows)
        starts = np.concatenate((self._short_starts, len(short) + np.cumsum(counts)))
        return PackedRows(np.concatenate((short_pieces, long_pieces)), starts, random.permutation(self.n_rows))

    def _share_rows(self) -> tuple[Ints, Ints]:
        """Which of the short documents' places, counted by ascending length, stand in which row.

        Returns:
            The places row by row, and where each row's places start (rows + 1,).
        """
        lengths = np.sort(self._lengths[self._short])
        places = _random(self._seed, 0).permutation(len(lengths))
        reserve, others = np.split(places, [len(places) // _RESERVE])
        rows = np.full(len(lengths), -1)
        rows[others] = _next_fit(lengths[others], self._seq_len)
        gaps = self._seq_len - np.bincount(rows[others], lengths[others]).astype(np.int64)
        descending = np.sort(reserve)[::-1]
        rows[descending] = _best_fit(lengths[descending], self._seq_len, gaps, open_rows=False)
        leftover = reserve[rows[reserve] < 0]
        rows[leftover] = len(gaps) + _next_fit(lengths[leftover], self._seq_len)
        return _group(rows)


class ValidationPacking:
    """Packing for validation, the same in every epoch; see the module's text."""

    def __init__(self, lengths: Ints, seq_len: int) -> None:
        counts = -(-lengths // seq_len)
        documents = np.repeat(np.arange(len(lengths)), counts)
        firsts = seq_len * (np.arange(len(documents)) - np.repeat(np.cumsum(counts) - counts, counts))
        sizes = np.minimum(seq_len, lengths[documents] - firsts)
        descending = np.argsort(-sizes, kind="stable")
        rows = _best_fit(sizes[descending], seq_len, np.zeros(0, np.int64), open_rows=True)
        slots, starts = _group(rows)
        chosen = descending[slots]
        pieces = np.stack((documents[chosen], firsts[chosen], sizes[chosen]), axis=1)
        self.n_rows = len(starts) - 1
        self._rows = PackedRows(pieces, starts, _random(0, 0).permutation(self.n_rows))

    def epoch(self, epoch: int) -> PackedRows:
        return self._rows


def _random(seed: int, stream: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream,)))


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def _by_length(documents: Ints, lengths: Ints) -> Ints:
    """The documents by ascending length, those of one length in the order given."""
    keys = lengths[documents]
    # NumPy sorts 16-bit keys in linear time.
    narrow = keys.astype(np.min_scalar_type(int(keys.max(initial=0))))
    return documents[np.argsort(narrow, kind="stable")]


def _group(rows: Ints) -> tuple[Ints, Ints]:
    """Row by row the indices of `rows` that name it, and where each row's start (rows + 1,)."""
    return np.argsort(rows, kind="stable"), np.concatenate(([0], np.cumsum(np.bincount(rows))))


def _cut_at_row_ends(documents: Ints, lengths: Ints, seq_len: int) -> tuple[Ints, Ints]:
    """Documents laid end to end and cut into rows: the pieces (pieces, 3), and the row of each."""
    ends = np.cumsum(lengths[documents])
    total = int(ends[-1]) if len(ends) else 0
    piece_ends = np.union1d(ends, np.arange(seq_len, total, seq_len))
    piece_starts = np.concatenate(([0], piece_ends[:-1])) if total else piece_ends
    index = np.searchsorted(ends, piece_starts, side="right")
    chosen = documents[index]
    firsts = piece_starts - (ends[index] - lengths[chosen])
    return np.stack((chosen, firsts, piece_ends - piece_starts), axis=1), piece_starts // seq_len


def _next_fit(lengths: Ints, seq_len: int) -> Ints:
    """The row of each document when rows are filled in the order given, none longer than a row."""
    ends = np.cumsum(lengths)
    # Where the next row begins, for a row that begins at each document: the loop then only follows these links.
    links = np.searchsorted(ends, ends - lengths + seq_len, side="right").data
    begins = np.zeros(len(lengths), np.int64)
    document = 0
    while document < len(links):
        begins[document] = 1
        document = links[document]
    return np.cumsum(begins) - 1


def _best_fit(lengths: Ints, seq_len: int, gaps: Ints, open_rows: bool) -> Ints:
    """The row of each document when each goes where least room stays free, -1 where it fits nowhere.

    All documents of one length are placed together: as many as fit into each of the tightest rows, then the next
    tightest, so the work grows with the number of different lengths (Krell et al. 2021).

    Args:
        lengths: descending.
        gaps: (rows,), the room in the rows that there are.
        open_rows: whether new rows are added, numbered on from these.
    """
    placed = np.full(len(lengths), -1)
    n_rows = len(gaps)
    rooms = _Rooms(gaps)
    for begin, end in pairwise(np.flatnonzero(np.diff(lengths, prepend=-1, append=-1)).tolist()):
        length = int(lengths[begin])
        while begin < end:
            room, rows = rooms.take_tightest(length)
            if not len(rows):
                if not open_rows:
                    break
                room, rows = seq_len, np.arange(n_rows, n_rows + _ceil_div(end - begin, seq_len // length))
                n_rows += len(rows)
            fit = room // length
            used = np.repeat(rows, fit)[: end - begin]
            placed[begin : begin + len(used)] = used
            begin += len(used)
            full, last = divmod(len(used), fit)  # rows with `fit` new documents, and documents in one more row
            rooms.put(room - fit * length, rows[:full])
            if last:
                rooms.put(room - last * length, rows[full : full + 1])
                full += 1
            rooms.put(room, rows[full:])
    return placed


class _Rooms:
    """Rows by the room that is free in them."""

    def __init__(self, gaps: Ints) -> None:
        self._rows: dict[int, list[Ints]] = {}
        self._tightest: list[int] = []  # the keys of `_rows`, ascending
        by_room, starts = _group(gaps)
        for room in range(len(starts) - 1):
            self.put(room, by_room[starts[room] : starts[room + 1]])

    def put(self, room: int, rows: Ints) -> None:
        if room and len(rows):
            if room not in self._rows:
                insort(self._tightest, room)
            self._rows.setdefault(room, []).append(rows)

    def take_tightest(self, length: int) -> tuple[int, Ints]:
        """The least room that is enough, and all rows with it; no rows where there is none."""
        found = bisect_left(self._tightest, length)
        if found == len(self._tightest):
            return 0, np.zeros(0, np.int64)
        room = self._tightest.pop(found)
        return room, np.concatenate(self._rows.pop(room))
