"""Skips a step whose loss or gradient is not finite, and on request a spike, without waiting for a GPU."""

import math

import torch
from torch import Tensor, nn

from lai.model.spikes import LossWindow


def spread(loss: Tensor) -> Tensor:
    """The loss; one that is not finite makes all gradients NaN, so that all processes see it in theirs.

    A finite loss has the gradients, bit by bit, that it has without this function.
    """
    return loss * torch.where(loss.detach().isfinite(), 1.0, math.nan).to(loss.dtype)


class FiniteSteps:
    """Judges each step by the norm of its gradient: all processes have the same norm, so they agree.

    On a CPU the verdict is known at once. On CUDA it stays on the device, where the optimizer reads it; the host reads
    it when the next step is queued, so that the GPU never waits.
    """

    def __init__(self) -> None:
        self.window: LossWindow | None = None
        """The losses that show a spike; None: spikes are not skipped."""
        self.skipped = 0
        """Steps of the run that were skipped, as far as the host knows."""
        self.spikes = 0
        """Those that were skipped as spikes, since this start of the run."""
        self.in_row = 0
        """The skipped steps since the last good one."""
        self.is_late = False
        """Whether these are those of the step before the last one."""
        self._on_device: tuple[Tensor, Tensor, Tensor] | None = None  # skipped steps of this process, in a row, spikes
        self._earlier = 0
        self._pending: tuple[Tensor, torch.cuda.Event] | None = None

    def resume_from(self, skipped: int) -> None:
        """Count on from a checkpoint's number of skipped steps."""
        self.skipped = self._earlier = skipped

    def judge(
        self,
        norm: Tensor,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        scales_loss: bool,
        loss: Tensor | None = None,
    ) -> None:
        """Let `optimizer` skip the step that it is in if its gradients are not finite, or if it is a spike.

        Args:
            norm: () that of all gradients.
            scales_loss: the gradients were scaled for float16, and the scaler itself skips such a step.
            loss: () the step's loss, the same in all processes; needed where spikes are skipped.
        """
        is_bad = ~norm.detach().isfinite()
        is_spike = torch.zeros_like(is_bad)
        if self.window is not None and loss is not None:
            is_spike = self.window.judge(loss, is_bad)
        if norm.device.type == "cuda":
            if scales_loss and self.window is not None and bool(is_spike):  # the scaler waits for the GPU, too
                _drop_gradients(module)
            self._judge_on_device(is_bad, is_spike, optimizer, scales_loss)
        elif bool(is_bad | is_spike):
            _drop_gradients(module)
            self.skipped += 1
            self.in_row += 1
            self.spikes += bool(is_spike)
        else:
            self.in_row = 0

    def _judge_on_device(
        self, is_bad: Tensor, is_spike: Tensor, optimizer: torch.optim.Optimizer, scales_loss: bool
    ) -> None:
        is_skipped = is_bad | is_spike
        if not scales_loss:
            optimizer.found_inf = is_skipped.float()  # type: ignore[attr-defined]  # the fused kernel then writes nothing
        zero = torch.zeros((), dtype=torch.int64, device=is_bad.device)
        skipped, in_row, spikes = self._on_device or (zero, zero, zero)
        self._on_device = (skipped + is_skipped, torch.where(is_skipped, in_row + 1, 0), spikes + is_spike)
        self.read()
        counts = torch.empty(3, dtype=torch.int64, pin_memory=is_bad.is_cuda)
        counts.copy_(torch.stack(self._on_device), non_blocking=True)
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        self._pending, self.is_late = (counts, event), True

    def read(self) -> None:
        """Take over what the GPU has counted up to the step before this one; wait for that step."""
        if self._pending is None:
            return
        counts, event = self._pending
        event.synchronize()
        skipped, self.in_row, self.spikes = (int(count) for count in counts)
        self.skipped = self._earlier + skipped
        self._pending, self.is_late = None, False


def _drop_gradients(module: nn.Module) -> None:
    """Let the optimizer leave all parameters as they are, with their moments."""
    for parameter in module.parameters():
        parameter.grad = None
