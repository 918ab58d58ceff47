"""Loss spikes: a step whose loss lies far above those of the steps before it."""

import math

import torch
from torch import Tensor

WINDOW = 100
"""Steps that a loss is compared with."""

_DEVIATIONS = 6.0


class LossWindow:
    """The losses of the last `WINDOW` steps that were not skipped. Nothing here waits for a GPU.

    Args:
        losses: (WINDOW,) float32, those of a checkpoint; NaN where there were fewer steps.
    """

    def __init__(self, losses: Tensor | None = None) -> None:
        self.losses = torch.full((WINDOW,), math.nan) if losses is None else losses
        """(WINDOW,) float32, the newest last; NaN before that many steps."""

    def judge(self, loss: Tensor, is_bad: Tensor) -> Tensor:
        """Whether a step is a spike: more than six standard deviations above the mean of the window; else it joins it.

        Args:
            loss: () the step's loss, the same in all processes.
            is_bad: () bool, the step is skipped for another reason.

        Returns:
            () bool on the device of `loss`; false before the window is full.
        """
        loss, window = loss.detach().float(), self.losses.to(loss.device)
        is_spike = (loss > window.mean() + _DEVIATIONS * window.std()) & ~is_bad
        self.losses = torch.where(is_bad | is_spike, window, torch.cat((window[1:], loss.reshape(1))))
        return is_spike
