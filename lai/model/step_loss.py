"""The loss of an optimizer step over its batches and processes, and what each batch weighs in the gradient."""

from collections.abc import Iterable

import torch
from lightning.pytorch.strategies import Strategy
from torch import Tensor, nn


class StepLoss:
    """Adds up the batches of a step in this process.

    Usually each batch weighs the same in the gradient: nearly all have as many targets. With `by_target` each target
    weighs the same, whichever batch of whichever process it is in. The number of targets is known only behind the
    step's last batch, so the gradient is that of a sum before, and `rescale` makes it that of the mean.
    """

    def __init__(self, by_target: bool = False) -> None:
        self.by_target = by_target
        self._losses: list[Tensor] = []  # the mean of each batch
        self._totals: list[Tensor] = []
        self._counts: list[Tensor] = []
        self._unit = 1  # what sums are divided by meanwhile, so that they are about as large as a mean
        self.is_over = True
        """Whether the next batch begins another step."""

    def add(self, total: Tensor, count: Tensor, places: int) -> Tensor:
        """Count a batch; gives the loss () whose gradient is to be added to that of the batches before it.

        Args:
            total: () the sum of the losses of its targets.
            count: () the number of its targets; it may be 0.
            places: the targets that it has room for, the same number in all processes.
        """
        if self.is_over:
            self._losses, self._totals, self._counts = [], [], []
            self._unit, self.is_over = places, False
        loss = total / count.clamp(min=1)
        self._losses.append(loss.detach())
        self._totals.append(total.detach())
        self._counts.append(count)
        return total / self._unit if self.by_target else loss

    def mean(self) -> Tensor:
        """() the loss of the step so far in this process."""
        if self.by_target:
            return _mean(self._sums())
        return torch.stack(self._losses).mean()

    def mean_of_all(self, strategy: Strategy) -> Tensor:
        """() the loss of the step so far in all processes; each of them must call this."""
        if not self.by_target:
            return _reduced(strategy, self.mean(), "mean")
        return _mean(_reduced(strategy, self._sums(), "sum"))

    def rescale(self, parameters: Iterable[nn.Parameter], strategy: Strategy, processes: int, batches: int) -> None:
        """Make the gradient that of the mean over the step's targets; nothing is done without `by_target`.

        A step in which no target counts keeps its gradient of zero.

        Args:
            processes: whose gradients were averaged.
            batches: by whose number the loss of each batch was divided.
        """
        if not self.by_target:
            return
        count = _reduced(strategy, self._sums(), "sum")[1]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        factor = self._unit * processes * batches / count.clamp(min=1)
        for gradient in gradients:
            gradient.mul_(factor.to(gradient.dtype))

    def _sums(self) -> Tensor:
        """(2,) the sum of the losses, and the number of targets."""
        return torch.stack([torch.stack(self._totals).sum().float(), torch.stack(self._counts).sum().float()])


def _mean(sums: Tensor) -> Tensor:
    return sums[0] / sums[1].clamp(min=1)


def _reduced(strategy: Strategy, value: Tensor, how: str) -> Tensor:
    reduced = strategy.reduce(value.clone(), reduce_op=how)
    assert isinstance(reduced, Tensor)
    return reduced
