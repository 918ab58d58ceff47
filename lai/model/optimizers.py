"""The optimizer and the learning rate over the course of a run."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import nn

Decay = Literal["linear", "cosine", "constant"]


def build_adamw(
    model: nn.Module, *, lr: float, beta1: float, beta2: float, eps: float, weight_decay: float, fused: bool = True
) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019) that decays matrices only: vectors (norms) scale, they do not overfit.

    The fused step makes one pass over the parameters and is several times faster; it exists for CPU, CUDA and MPS.
    """
    matrices = [parameter for parameter in model.parameters() if parameter.requires_grad and parameter.ndim >= 2]
    vectors = [parameter for parameter in model.parameters() if parameter.requires_grad and parameter.ndim < 2]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=lr, betas=(beta1, beta2), eps=eps, fused=fused)


def learning_rate_factor(progress: float, decay: Decay, warmup_fraction: float, final_fraction: float) -> float:
    """What the peak learning rate is multiplied with when `progress` (0 to 1) of the run is over.

    A straight rise over `warmup_fraction`, then `decay` from 1 to `final_fraction` at the end.
    """
    if progress < warmup_fraction:
        return progress / warmup_fraction
    rest = min(1.0, (progress - warmup_fraction) / max(1e-12, 1.0 - warmup_fraction))
    if decay == "constant":
        return 1.0
    shape = 1.0 - rest if decay == "linear" else 0.5 * (1.0 + math.cos(math.pi * rest))
    return final_fraction + (1.0 - final_fraction) * shape


def build_schedule(
    optimizer: torch.optim.Optimizer, factor: Callable[[int], float]
) -> torch.optim.lr_scheduler.LambdaLR:
    """A schedule that multiplies every group's learning rate by `factor(steps done)`."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
