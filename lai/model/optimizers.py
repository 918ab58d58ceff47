"""The optimizers and the learning rate over the course of a run."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lai.config.schema import OptimizerSettings, ScheduleSettings
from lai.host.cpu import multiplies_bf16
from lai.model.lora import LowRankLinear


def build_optimizer(model: nn.Module, settings: OptimizerSettings, *, fused: bool = True) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019) for all parameters, or Muon for the matrices and AdamW for the others.

    Matrices decay. Norms do not: they scale, they do not overfit. Embeddings do not: the gradient that keeps an
    impossible token improbable is tiny, and decay works against it. A row of an embedding gets a gradient only where
    its token occurs, so embeddings need a higher rate than the matrices: `embedding_lr`, which norms use, too. Neither
    rate falls with the width (Yang et al. 2022; all measured in benchmarks/recipes.md).

    Where low-rank factors train (`lai.model.lora`), they are the matrices, and nothing else is trained.

    The fused step makes one pass over the parameters and is several times faster; CPU, CUDA and MPS have it.
    """
    # By their modules: under FSDP every parameter is a vector.
    linear = {module.weight for module in model.modules() if isinstance(module, nn.Linear)}
    for module in model.modules():
        if isinstance(module, LowRankLinear):
            linear |= {module.lora_a, module.lora_b}
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


# The elements that Muon processes at a time. On the CPU, the intermediate results of a piece fit into the cache. On a
# GPU, where launching a small kernel takes longer than running it, a piece takes some hundred megabytes.
_PIECE = 2**19
_PIECE_OF_GPU = 2**25


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) for a group of matrices, another optimizer for the rest, as one object.

    A step of Muon has the momentum's directions, all with the same size: the model learns rare ones as fast as common
    ones. The size is 0.2 · sqrt(longer side), so an element moves about as far as under AdamW, and learning rates carry
    over (Liu et al. 2025). `torch.optim.Muon` computes in bfloat16 on every CPU, even where that is emulated, and one
    matrix at a time. This one batches matrices of one shape, in the fast dtype.

    The iteration's time grows with the square of the shorter side. With `block_rows`, each block of that many rows is a
    matrix of its own, as if on separate devices (Khaled et al. 2025). A matrix that is no multiple stays whole.
    """

    def __init__(
        self,
        matrices: dict[str, Any],
        rest: torch.optim.Optimizer,
        settings: OptimizerSettings,
    ) -> None:
        self._rest = rest
        self.found_inf: Tensor | None = None
        """1.0 on the device where this step is to change nothing, else 0.0; None: it is an ordinary step."""
        self._block_rows = settings.block_rows
        super().__init__([matrices | {"momentum": settings.momentum}, *rest.param_groups], {"lr": settings.lr})
        self._share()

    def _share(self) -> None:
        """Let the other optimizer use this one's groups and state, which schedules and checkpoints see."""
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
        if self.found_inf is not None:
            self._rest.found_inf = self.found_inf  # type: ignore[attr-defined]
        self._rest.step()
        return loss

    def _step(self, parameters: list[Tensor], lr: float, momentum: float, weight_decay: float) -> None:
        """A step of matrices of one shape."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        for parameter in parameters:
            if "momentum_buffer" not in self.state[parameter]:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        buffers = [self.state[parameter]["momentum_buffer"] for parameter in parameters]
        if self.found_inf is not None:  # a gradient equal to the momentum leaves the momentum as it is
            is_bad = self.found_inf.bool()
            gradients = [torch.where(is_bad, *pair) for pair in zip(buffers, gradients, strict=True)]
        torch._foreach_lerp_(buffers, gradients, 1 - momentum)
        moments = torch.stack(torch._foreach_lerp(gradients, buffers, momentum))  # Nesterov's
        rows, cols = parameters[0].shape
        block = self._block_rows if self._block_rows and rows % self._block_rows == 0 else rows
        directions = orthogonalize(moments.view(-1, block, cols)).reshape(moments.shape)
        if self.found_inf is None:
            torch._foreach_mul_(parameters, 1 - lr * weight_decay)
        else:
            directions = directions * (1 - self.found_inf).to(directions.dtype)
            kept = torch.where(is_bad, 1.0, 1 - lr * weight_decay)
            torch._foreach_mul_(parameters, kept.to(parameters[0].dtype))
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
    """The same, with two products of x's length instead of ten.

    Every step multiplies x from the left by a polynomial of xxᵀ; this multiplies the polynomials first. It pays where x
    is at least twice as long as high. bfloat16 is too coarse: xxᵀ gets negative eigenvalues, and they grow.
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

    It rises linearly over `warmup_fraction`, stays 1, and decays to `final_fraction` over the last `decay_fraction` of
    the run, or over what is left of it.
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
