"""Rows of several sources in one order: a pure function of a seed, the epoch, and the rows taken before it.

A row holds documents of one source. Each source is a stream of rows: its first pass (`TrainingPacking.epoch(0)`), its
second, and so on. An epoch of the mixture has as many rows as all sources have together, and takes the next rows of
each stream: so many that the source's share of all predictions is its weight, one row more or less by a draw whose
mean is exact. Within an epoch the sources are spread evenly: after any number of rows, each has its share of them to
within two rows.

A source that may be read `passes` times gives no row beyond. What it lacks is known beforehand: it is taken from the
whole run evenly, and goes to the other sources by their weights. Where nobody knows how long the run is, a source keeps
its weight until it is used up.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lai.data.tokens.packing import Ints, PackedRows, TrainingPacking

Floats = NDArray[np.float64]

USUAL_PASSES = 4
"""For each epoch of the run: so often the same text is worth about as much as new text (Muennighoff et al. 2023)."""

_EDGE = 1e-6  # of the draws that round: sums of floats are that near to whole numbers
_MIXING = 1  # the stream of random numbers beside those of the packings


@dataclass(frozen=True)
class MixedSource:
    """A source as the mixture reads it.

    Args:
        packing: its documents in rows; `first` is the number of its first document among those of all sources.
        predictions: in all rows of a pass.
        weight: the share of all predictions that it is to have, relative to those of the others.
        passes: how often each of its documents may come; None: `USUAL_PASSES` for each epoch of the run.
    """

    name: str
    packing: TrainingPacking
    first: int
    predictions: int
    weight: float
    passes: float | None = None


@dataclass(frozen=True)
class Length:
    """How long a run is.

    Args:
        rows: that all processes together read in an epoch; None: all of them.
        epochs: of the whole run, the last perhaps in part; infinite where nobody knows.
    """

    rows: int | None = None
    epochs: float = math.inf


@dataclass(frozen=True)
class Planned:
    """What a source gives to the whole run, or to an epoch of a run without a known end.

    Args:
        weight: the share that is asked for, 1 for all sources together; `share` is the one that it gets.
        passes, most: how often it is read, and how often it may be.
    """

    name: str
    weight: float
    share: float
    predictions: float
    passes: float
    most: float


@dataclass(frozen=True)
class Taken:
    """The rows of an epoch: those that each source has given before it, and those that it gives in each part of it.

    An epoch has one part; a run that ended inside an epoch and is made longer has another one for the rest.
    """

    before: tuple[int, ...]
    parts: tuple[tuple[int, ...], ...]

    @property
    def after(self) -> tuple[int, ...]:
        return tuple(map(sum, zip(self.before, *self.parts, strict=True)))


class MixedPacking:
    """Packing for training on several sources; see the module's text.

    Args:
        processes: that share the rows; those beyond a multiple are left out, since to repeat some would exceed passes.
    """

    def __init__(self, sources: Sequence[MixedSource], seed: int, processes: int = 1) -> None:
        self.sources = tuple(sources)
        self._seed = seed
        sizes = [source.packing.n_rows for source in sources]
        self._sizes = np.array(sizes, np.float64)
        self._fills = np.array([source.predictions for source in sources]) / np.maximum(1, self._sizes)
        weights = np.array([source.weight for source in sources])
        self._weights = weights / weights.sum()
        of_rows = self._weights / self._fills
        self._rows = of_rows / of_rows.sum()
        self.n_rows = sum(sizes) // processes * processes
        self._start = 0, Taken((0,) * len(sources), ())
        self._passes: dict[int, tuple[int, PackedRows]] = {}  # the pass that each source is in
        self.measure(Length())

    def measure(self, length: Length) -> None:
        """Plan for a run of this length."""
        self.length = length
        self._per_epoch = max(1, self.n_rows if length.rows is None else min(length.rows, self.n_rows))
        usual = USUAL_PASSES * (math.ceil(length.epochs) if length.epochs < math.inf else math.inf)
        self._most = np.array([usual if source.passes is None else source.passes for source in self.sources])
        self._limits = self._most * self._sizes

    @property
    def epochs(self) -> float:
        """The whole epochs that the sources last for; infinite where one of them may be read without end."""
        rows = float(self._limits.sum())
        return rows // self._per_epoch if rows < math.inf else rows

    @property
    def lasts(self) -> bool:
        """Whether the sources last for the whole run; one without a known end may end with them."""
        if self.length.epochs == math.inf:
            return self.epochs >= 1
        return bool(math.ceil(self.length.epochs * self._per_epoch) <= self._limits.sum())

    def planned(self) -> list[Planned]:
        """What each source gives to the run."""
        epochs = 1 if self.length.epochs == math.inf else self.length.epochs
        rows = _share_out(epochs * self._per_epoch, self._rows, self._limits)
        predictions = rows * self._fills
        shares = predictions / predictions.sum()
        return [
            Planned(source.name, *map(float, values))
            for source, *values in zip(
                self.sources, self._weights, shares, predictions, rows / self._sizes, self._most, strict=True
            )
        ]

    def start_from(self, epoch: int, before: Mapping[str, int], parts: Sequence[Mapping[str, int]]) -> None:
        """Plan from an epoch on, given the rows by the source's name that came before it, and those of its parts.

        A source without a name there has given none yet. The parts of an epoch of other sources are planned anew.
        """
        names = [source.name for source in self.sources]
        is_known = all(part.keys() == set(names) for part in parts) and sum(map(_total, parts)) <= self.n_rows
        self._start = (
            epoch,
            Taken(
                tuple(before.get(name, 0) for name in names),
                tuple(tuple(part[name] for name in names) for part in parts) if is_known else (),
            ),
        )

    def taken(self, epoch: int) -> Taken:
        """The rows of an epoch that is not before the one that the run has started from."""
        start, taken = self._start
        taken = self._filled(start, taken)
        for coming in range(start + 1, epoch + 1):
            taken = self._filled(coming, Taken(taken.after, ()))
        return taken

    def _filled(self, epoch: int, taken: Taken) -> Taken:
        """With a part for the rows that the epoch lacks."""
        missing = self._per_epoch - sum(map(sum, taken.parts))
        rooms = np.maximum(0, self._limits - np.array(taken.after))
        rows = int(min(missing, rooms.sum()))
        if rows <= 0:
            return taken
        coming = 0 if self.length.epochs == math.inf else max(0, math.ceil(self.length.epochs) - epoch - 1)
        horizon = rows + coming * self._per_epoch
        shares = _share_out(min(horizon, rooms.sum()), self._rows, rooms)
        part = _whole(shares / shares.sum(), rows, rooms, self._random(epoch, len(taken.parts), 0))
        return Taken(taken.before, (*taken.parts, part))

    def epoch(self, epoch: int) -> "MixedRows":
        """The rows of an epoch in their order."""
        taken = self.taken(epoch)
        parts = list(taken.parts)
        if (unread := self.n_rows - sum(map(sum, parts))) > 0:  # nobody trains on them
            rooms = np.full(len(self.sources), math.inf)
            parts.append(_whole(self._rows, unread, rooms, self._random(epoch, len(parts), 0)))
        owners = np.concatenate(
            [_spread(part, self._random(epoch, number, 1)) for number, part in enumerate(parts)]
            or [np.zeros(0, np.int64)]
        )
        places = np.zeros(len(owners), np.int64)
        for source, first in enumerate(taken.before):
            own = np.flatnonzero(owners == source)
            places[own] = first + np.arange(len(own))
        return MixedRows(self, owners, places)

    def row(self, source: int, place: int) -> Ints:
        """A row of a source's stream, (pieces, 3), its documents numbered among those of all sources."""
        number, row = divmod(place, self.sources[source].packing.n_rows)
        if self._passes.get(source, (-1,))[0] != number:
            self._passes[source] = number, self.sources[source].packing.epoch(number)
        pieces: Ints = self._passes[source][1][row] + np.array([self.sources[source].first, 0, 0])
        return pieces

    def _random(self, epoch: int, part: int, use: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=(epoch, part, use, _MIXING)))


@dataclass(frozen=True)
class MixedRows:
    """The rows of an epoch in their order, as `PackedRows`: the source of each, and its place in that stream."""

    packing: MixedPacking
    owners: Ints
    places: Ints

    def __len__(self) -> int:
        return len(self.owners)

    def __getitem__(self, index: int) -> Ints:
        return self.packing.row(int(self.owners[index]), int(self.places[index]))


def _total(part: Mapping[str, int]) -> int:
    return sum(part.values())


def _share_out(total: float, weights: Floats, rooms: Floats) -> Floats:
    """`total` by the weights, (sources,), to none more than its room; what one lacks room for goes to the others."""
    shares = np.zeros(len(weights))
    is_open = np.ones(len(weights), np.bool_)
    while is_open.any():
        wanted = total * weights / weights[is_open].sum()
        full = is_open & (wanted >= rooms)
        if not full.any():
            shares[is_open] = wanted[is_open]
            break
        shares[full] = rooms[full]
        total -= float(rooms[full].sum())
        is_open &= ~full
    return shares


def _whole(shares: Floats, rows: int, rooms: Floats, random: np.random.Generator) -> tuple[int, ...]:
    """So many rows by shares, (sources,), each rounded up or down by a draw, so that their means are the shares."""
    ends = np.cumsum(shares * rows)
    ends[-1] = rows
    found = np.diff(np.floor(ends + random.uniform(_EDGE, 1 - _EDGE)), prepend=0)
    over = np.maximum(0, found - rooms)
    found -= over
    for _ in range(int(over.sum())):
        found[np.argmax(rooms - found)] += 1
    return tuple(map(int, found))


def _spread(rows: Sequence[int], random: np.random.Generator) -> Ints:
    """The source of each row: those of a source lie one in each of as many equal stretches, somewhere in it."""
    keys = [(np.arange(count) + random.random(count)) / max(1, count) for count in rows]
    return np.repeat(np.arange(len(rows)), rows)[np.argsort(np.concatenate(keys), kind="stable")]
