"""Rows of packed documents to batches of tensors.

The sampler decides which pieces of which documents make a batch. The data set, which may live in a worker process,
turns these plans into tensors. Neither has state, so reading can start at any batch of any epoch.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from lai.data.tokens.answers import Answers
from lai.data.tokens.joined import Tokens
from lai.data.tokens.packing import NO_PIECES, Ints, Packing
from lai.tokenizer.targets import IGNORE_INDEX

PADDING_DOCUMENT = -1


class PackedDataset(Dataset[dict[str, Tensor]]):
    """Batches by their plan: `dataset[rows]`, where each row is (pieces, 3) as `PackedRows` gives it.

    Args:
        answers: by which the targets that count are found; None: all count.
    """

    def __init__(self, file: Tokens, seq_len: int, answers: Answers | None = None) -> None:
        self._file, self._seq_len, self._answers = file, seq_len, answers

    def __getitem__(self, rows: Sequence[Ints]) -> dict[str, Tensor]:
        """A batch (B, seq_len), int64.

        `tokens` is 0 and `documents` -1 where a row is padding. `targets` is -100 there and where it does not count.
        `documents` numbers the pieces of a row from 0.
        """
        shape = (len(rows), self._seq_len)
        tokens, targets, documents = (np.full(shape, fill) for fill in (0, IGNORE_INDEX, PADDING_DOCUMENT))
        pieces = np.concatenate((NO_PIECES, *rows))
        sizes = pieces[:, 2]
        total = int(sizes.sum())
        # A piece of n predictions is n + 1 tokens: each but the last is an input, each but the first a target.
        read = self._file.read(self._file.offsets[pieces[:, 0]].astype(np.int64) + pieces[:, 1], sizes + 1)
        indices = np.arange(total) + np.repeat(np.arange(len(pieces)), sizes)
        numbers = np.repeat(np.concatenate([np.arange(len(row)) for row in rows]), sizes)
        fills = np.array([row[:, 2].sum() for row in rows])
        used = np.arange(self._seq_len) < fills[:, None]
        tokens[used] = read[indices]
        wanted = read[indices + 1]
        if self._answers is not None:
            counts = self._answers.count(self._file, pieces, read)[indices + 1]
            wanted = np.where(counts, wanted.astype(np.int64), IGNORE_INDEX)
        targets[used] = wanted
        documents[used] = numbers
        return {
            "tokens": torch.from_numpy(tokens),
            "targets": torch.from_numpy(targets),
            "documents": torch.from_numpy(documents),
        }


class PackedBatchSampler(Sampler[list[Ints]]):
    """The plans of an epoch's batches for one of `world_size` processes.

    All processes get the same number of batches with the same number of rows: the rows are filled up to a multiple of
    `world_size`, for training with the first rows of the epoch, for validation (`repeat=False`) with empty ones, so
    that each prediction counts once. A `DataLoader` takes it as `sampler`, with `batch_size=None`; Lightning then calls
    `set_epoch`.

    Args:
        batch_size: rows of a batch in this process.
        repeat: fill up with repeated rows instead of empty ones.
        drop_last: drop the last batch if it is smaller than the others.
    """

    def __init__(
        self,
        packing: Packing,
        batch_size: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        repeat: bool = True,
        drop_last: bool = False,
    ) -> None:
        assert batch_size > 0 and 0 <= rank < world_size, (batch_size, rank, world_size)
        self._packing, self._repeat = packing, repeat
        self._rank, self._world_size = rank, world_size
        self._step = batch_size * world_size
        self._n_rows = -(-packing.n_rows // world_size) * world_size
        self._n_batches = self._n_rows // self._step if drop_last else -(-self._n_rows // self._step)
        self._epoch = 0
        self._start = (0, 0)

    def set_epoch(self, epoch: int) -> None:
        """Use the order of `epoch`, counted from 0, from the next iteration on."""
        self._epoch = epoch

    def start_at(self, epoch: int, batch: int) -> None:
        """Start `epoch` at its batch number `batch`; all other epochs, and `len`, stay whole.

        If no batch is left in it, the next iteration is the next epoch: worker processes start the first one before
        `set_epoch` is called.
        """
        self._epoch = epoch if batch < self._n_batches else epoch + 1
        self._start = (epoch, batch)

    def __len__(self) -> int:
        """The number of batches in a whole epoch, the same for each."""
        return self._n_batches

    def __iter__(self) -> Iterator[list[Ints]]:
        rows = self._packing.epoch(self._epoch)
        first = self._start[1] if self._start[0] == self._epoch else 0
        for batch in range(first, self._n_batches):
            begin, end = batch * self._step, min((batch + 1) * self._step, self._n_rows)
            numbers = range(begin + self._rank, end, self._world_size)
            if self._repeat:
                yield [rows[number % len(rows)] for number in numbers]
            else:
                yield [rows[number] if number < len(rows) else NO_PIECES for number in numbers]
