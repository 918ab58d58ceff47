"""Batches to validate with, each of documents of one group, so that the loss of a batch is the loss of its group.

A group is a source of a mixture and a language. The rows of each group are packed by themselves (`ValidationPacking`).
Its batches come in a fixed order among those of the others, spread evenly, so that the first batches alone are a fair
sample of all groups.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from lai.data.tokens.packing import NO_PIECES, Ints, ValidationPacking

Plan = tuple[int, list[Ints]]
"""A batch's group and its rows, each (pieces, 3)."""


class GroupedDataset(Dataset[dict[str, Tensor]]):
    """The batches of a data set, which plans of rows name, with the number of their group as `group`."""

    def __init__(self, batches: Dataset[dict[str, Tensor]]) -> None:
        self._batches = batches

    def __getitem__(self, plan: Plan) -> dict[str, Tensor]:
        group, rows = plan
        return self._batches[rows] | {"group": torch.tensor(group)}


class GroupedBatchSampler(Sampler[Plan]):
    """The plans of all batches for one of `world_size` processes; each has as many, of the same groups and rows.

    Args:
        groups: the numbers of the documents of each.
        lengths: (documents,), the number of predictions of each document.
    """

    def __init__(
        self,
        groups: Sequence[Ints],
        lengths: Ints,
        seq_len: int,
        batch_size: int,
        *,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._groups = groups
        self._rows = [ValidationPacking(lengths[group], seq_len).epoch(0) for group in groups]
        self._rank, self._world_size = rank, world_size
        self._step = batch_size * world_size
        counts = [-(-len(rows) // self._step) for rows in self._rows]
        self._order = _evenly(counts)

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Plan]:
        for group, batch in self._order:
            rows, documents = self._rows[group], self._groups[group]
            whole = -(-len(rows) // self._world_size) * self._world_size
            numbers = range(batch * self._step + self._rank, min((batch + 1) * self._step, whole), self._world_size)
            yield (
                group,
                [_numbered(rows[number], documents) if number < len(rows) else NO_PIECES for number in numbers],
            )


def _numbered(row: Ints, documents: Ints) -> Ints:
    """A row of a group with the documents' numbers among those of all groups."""
    return np.stack((documents[row[:, 0]], row[:, 1], row[:, 2]), axis=1)


def _evenly(counts: Sequence[int]) -> list[tuple[int, int]]:
    """(group, number) of so many batches of each group, the batches of each spread evenly; larger groups first."""
    placed = [((number + 0.5) / count, group, number) for group, count in enumerate(counts) for number in range(count)]
    return [(group, number) for _, group, number in sorted(placed)]
