"""How many tokens a module has been trained on."""

import lightning
import torch
from torch import Tensor


class TokensSeen:
    """Counts the target tokens of training over all processes, and over all parts of a resumed run.

    Batches are counted on the device, without waiting for it. Processes add their counts where all of them are.
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
        """Add the counts of all processes; each of them has to call this."""
        own = torch.zeros((), dtype=torch.int64, device=trainer.strategy.root_device)
        if self._own is not None:
            own += self._own
        if trainer.world_size > 1:
            own = trainer.strategy.reduce(own, reduce_op="sum")
        self._own = None
        if self._total is not None:
            self._total += int(own)

    def total(self) -> int:
        """The tokens so far, 0 where it is not known; until the counts meet, each process counts for all."""
        if self._total is None:
            return 0
        return self._total + (0 if self._own is None else int(self._own) * self._processes)

    def resume_from(self, total: int) -> None:
        """Begin at the count of a checkpoint, 0 where that does not tell."""
        self._total, self._own = total or None, None
