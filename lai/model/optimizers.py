"""The optimizers and the learning rate over the course of a run."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lai.config.schema import OptimizerSettings, ScheduleSettings
from lai.host.cpu import multiplies_bf16


def build_optimizer(model: nn.Module, settings: OptimizerSettings, *, fused: bool = True) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019) for all parameters, or Muon for the matrices and AdamW for the others.

    Matrices decay. Vectors (norms) do not: they scale, they do not overfit. Nor do embeddings: the gradient that keeps
    a token improbable where it is impossible is tiny, and decay pulls against it all the time. A row of an embedding
    gets a gradient only from the few places where its token stands, so embeddings bear and want a higher rate than the
    matrices that every token goes through; `embedding_lr` is theirs, and that of norms: the rate of neither falls with
    the width (Yang et al. 2022; all measured in benchmarks/recipes.md).

    The fused step makes one pass over the parameters and is several times faster; it exists for CPU, CUDA and MPS.
    """
    # By their modules: under FSDP every parameter is a vector.
    linear = {module.weight for module in model.modules() if isinstance(module, nn.Linear)}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = {
        "params": [parameter for parameter in trained if parameter in linear],
        "weight_decay": settings.weight_decay,
    }
    others = {
        "params": [parameter for parameter in trained if parameter not in linear],
        "weight_decay": 0.0,
        "lr": settings.embedding_lr,
    }
    betas = (settings.beta1, settings.beta2)
    adamw = partial(torch.optim.AdamW, lr=settings.lr, betas=betas, eps=settings.eps, fused=fused)
    if settings.name == "adamw":
        return adamw([matrices, others])
    return Muon(matrices, adamw([others]), settings)


# Muon works on so many elements at a time. What it makes of them stays in a processor's cache; on a GPU, where starting
# a small operation takes longer than the operation, they are as many as some hundred megabytes allow.
_PIECE = 2**19
_PIECE_OF_GPU = 2**25


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) for a group of matrices, another optimizer for the rest, as one object.

    A step of Muon has the momentum's directions, all with the same size: rare ones are learnt as fast as common ones.
    Its size is 0.2 · sqrt(the longer side), with which an element moves about as far as under AdamW, so that rates
    carry over (Liu et al. 2025). `torch.optim.Muon` computes in bfloat16 on every processor, also where that is
    emulated, and matrix by matrix; here matrices of one shape go together, in the dtype that is fast.

    The iteration takes time with the square of the shorter side. With `block_rows` each so many rows of a matrix are
    one by themselves, as if on devices of their own (Khaled et al. 2025); a matrix that they do not divide stays whole.
    """

    def __init__(
        self,
        matrices: dict[str, Any],
        rest: torch.optim.Optimizer,
        settings: OptimizerSettings,
    ) -> None:
        self._rest = rest
        self._block_rows = settings.block_rows
        super().__init__([matrices | {"momentum": settings.momentum}, *rest.param_groups], {"lr": settings.lr})
        self._share()

    def _share(self) -> None:
        """Let the other optimizer work on the groups and the state of this one, which schedules and checkpoints see."""
        self._rest.param_groups = self.param_groups[1:]
        self._rest.state = self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._share()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        group = self.param_groups[0]
        by_shape: dict[torch.Size, list[Tensor]] = {}
        for parameter in group["params"]:
            if parameter.grad is not None:
                by_shape.setdefault(parameter.shape, []).append(parameter)
        for shape, parameters in by_shape.items():
            piece = _PIECE if parameters[0].device.type == "cpu" else _PIECE_OF_GPU
            together = max(1, piece // shape.numel())
            for start in range(0, len(parameters), together):
                some = parameters[start : start + together]
                self._step(some, group["lr"], group["momentum"], group["weight_decay"])
        self._rest.step()
        return loss

    def _step(self, parameters: list[Tensor], lr: float, momentum: float, weight_decay: float) -> None:
        """A step of matrices of one shape."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        for parameter in parameters:
            if "momentum_buffer" not in self.state[parameter]:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        buffers = [self.state[parameter]["momentum_buffer"] for parameter in parameters]
        torch._foreach_lerp_(buffers, gradients, 1 - momentum)
        moments = torch.stack(torch._foreach_lerp(gradients, buffers, momentum))  # Nesterov's
        rows, cols = parameters[0].shape
        block = self._block_rows if self._block_rows and rows % self._block_rows == 0 else rows
        directions = orthogonalize(moments.view(-1, block, cols)).reshape(moments.shape)
        torch._foreach_mul_(parameters, 1 - lr * weight_decay)
        size = lr * 0.2 * math.sqrt(max(block, cols))
        torch._foreach_add_(parameters, list(directions.to(parameters[0].dtype)), alpha=-size)


def orthogonalize(matrices: Tensor) -> Tensor:
    """U · Vᵀ for each U · S · Vᵀ of `matrices` (N, rows, cols), with singular values from 0.7 to 1.2 instead of 1.

    Newton and Schulz's iteration, five times x ← (a + b·xxᵀ + c·(xxᵀ)²)·x, with the coefficients of Jordan et al. that
    push small values up fastest.
    """
    turned = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if turned else matrices
    in_float32 = x.device.type == "cpu" and not multiplies_bf16()
    x = x if in_float32 else x.bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    x = _iterate_on_squares(x) if in_float32 and x.shape[2] >= 2 * x.shape[1] else _iterate(x)
    return x.mT if turned else x


_STEPS = 5
_A, _B, _C = 3.4445, -4.7750, 2.0315


def _iterate(x: Tensor) -> Tensor:
    for _ in range(_STEPS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=_B, alpha=_C), x, beta=_A)
    return x


def _iterate_on_squares(x: Tensor) -> Tensor:
    """The same with two products as long as x instead of ten.

    All steps multiply x from the left with polynomials of its xxᵀ: these are multiplied with each other first. That
    pays where x is at least twice as long as high. bfloat16 is too coarse for it: xxᵀ then has negative eigenvalues,
    and they grow.
    """
    square = x @ x.mT
    factor = product = _factor(square)
    for _ in range(_STEPS - 1):
        square = square @ factor @ factor
        factor = _factor(square)
        product = product @ factor
    return product @ x


def _factor(square: Tensor) -> Tensor:
    factor = torch.baddbmm(square, square, square, beta=_B, alpha=_C)
    factor.diagonal(dim1=1, dim2=2).add_(_A)
    return factor


def learning_rate_factor(progress: float, schedule: ScheduleSettings) -> float:
    """What the peak learning rate is multiplied with when `progress` (0 to 1) of the run is over.

    A straight rise over `warmup_fraction`, then 1, and over the last `decay_fraction` (or all that is left) a decay to
    `final_fraction`.
    """
    warmup = schedule.warmup_fraction
    if progress < warmup:
        return progress / warmup
    if schedule.name == "constant":
        return 1.0
    start = max(warmup, 1.0 - schedule.decay_fraction)
    rest = min(1.0, max(0.0, progress - start) / max(1e-12, 1.0 - start))
    shape = 0.5 * (1.0 + math.cos(math.pi * rest)) if schedule.name == "cosine" else 1.0 - rest
    return schedule.final_fraction + (1.0 - schedule.final_fraction) * shape


def build_schedule(
    optimizer: torch.optim.Optimizer, factor: Callable[[int], float]
) -> torch.optim.lr_scheduler.LambdaLR:
    """A schedule that multiplies every group's learning rate by `factor(steps done)`."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
