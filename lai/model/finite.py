"""Skips a step whose loss or gradient is not finite, without waiting for a GPU."""

import math

import torch
from torch import Tensor, nn


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
        self.skipped = 0
        """Steps of the run that were skipped, as far as the host knows."""
        self.in_row = 0
        """The skipped steps since the last good one."""
        self.is_late = False
        """Whether both are those of the step before the last one."""
        self._on_device: tuple[Tensor, Tensor] | None = None  # skipped steps of this process, and those in a row
        self._earlier = 0
        self._pending: tuple[Tensor, torch.cuda.Event] | None = None

    def resume_from(self, skipped: int) -> None:
        """Count on from a checkpoint's number of skipped steps."""
        self.skipped = self._earlier = skipped

    def judge(self, norm: Tensor, module: nn.Module, optimizer: torch.optim.Optimizer, *, scales_loss: bool) -> None:
        """Let `optimizer` skip the step that it is in if the norm of its gradients is not finite.

        Args:
            scales_loss: the gradients were scaled for float16, and the scaler itself skips such a step.
        """
        if norm.device.type == "cuda":
            self._judge_on_device(norm.detach(), optimizer, scales_loss)
        elif math.isfinite(norm.item()):
            self.in_row = 0
        else:
            for parameter in module.parameters():
                parameter.grad = None  # the optimizer leaves what has no gradient as it is, with its moments
            self.skipped += 1
            self.in_row += 1

    def _judge_on_device(self, norm: Tensor, optimizer: torch.optim.Optimizer, scales_loss: bool) -> None:
        is_bad = ~norm.isfinite()
        if not scales_loss:
            optimizer.found_inf = is_bad.float()  # type: ignore[attr-defined]  # the fused kernel then writes nothing
        zero = torch.zeros((), dtype=torch.int64, device=norm.device)
        skipped, in_row = self._on_device or (zero, zero)
        self._on_device = (skipped + is_bad, torch.where(is_bad, in_row + 1, 0))
        self.read()
        counts = torch.empty(2, dtype=torch.int64, pin_memory=norm.is_cuda)
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
        skipped, self.in_row = (int(count) for count in counts)
        self.skipped = self._earlier + skipped
        self._pending, self.is_late = None, False
