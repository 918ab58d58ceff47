"""The number of tokens that a module has been trained on."""

import lightning
import torch
from torch import Tensor


class TokensSeen:
    """Counts the target tokens of training over all processes, and over all parts of a resumed run.

    Batches are counted on the device, without waiting for it. `sync` adds the counts of all processes.
    """

    def __init__(self) -> None:
        self._total: int | None = 0
        self._own: Tensor | None = None  # of this process, since the counts were added
        self._processes = 1

    def add(self, count: Tensor, processes: int) -> None:
        """Count a batch of `count` targets, an integer tensor without dimensions, in one of so many processes."""
        self._own = count if self._own is None else self._own + count
        self._processes = processes

    def sync(self, trainer: lightning.Trainer) -> None:
        """Add the counts of all processes; every process must call this."""
        own = torch.zeros((), dtype=torch.int64, device=trainer.strategy.root_device)
        if self._own is not None:
            own += self._own
        if trainer.world_size > 1:
            own = trainer.strategy.reduce(own, reduce_op="sum")
        self._own = None
        if self._total is not None:
            self._total += int(own)

    def total(self) -> int:
        """The tokens so far, 0 if unknown; since the last `sync`, other processes count as much as this one."""
        if self._total is None:
            return 0
        return self._total + (0 if self._own is None else int(self._own) * self._processes)

    def resume_from(self, total: int) -> None:
        """Start at the count of a checkpoint, 0 if it is unknown there."""
        self._total, self._own = total or None, None
