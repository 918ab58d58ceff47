"""RMSNorm, with its own gradient where PyTorch has no fused kernel."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lai.model.precision import converted, product_dtype


class RMSNorm(nn.Module):
    """x / sqrt(mean(x²) + eps) * weight over the last axis (Zhang & Sennrich 2019), computed in float32.

    The result has the dtype of the following products, rounded once for all of them.
    """

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        if x.device.type != "cpu":
            return F.rms_norm(x, self.weight.shape, self.weight, self.eps).to(product_dtype(x))
        result: Tensor = _RMSNorm.apply(x, self.weight, self.eps, product_dtype(x))  # type: ignore[no-untyped-call]
        return result


class _RMSNorm(torch.autograd.Function):
    """For CPUs, where PyTorch splits the norm into single operations, each with its own gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
        squares = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square()
        scale = (squares / x.shape[-1] + eps).rsqrt()
        ctx.save_for_backward(x, weight, scale)
        return converted(x * scale * weight, dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, weight, scale = ctx.saved_tensors
        gradient = gradient.float() * scale
        products = gradient * x
        # The norm removes the component of the gradient along x.
        along = (products @ weight / x.shape[-1]).unsqueeze(-1) * scale.square()
        change = (gradient * weight).addcmul_(x, along, value=-1)
        return change, products.flatten(0, -2).sum(0), None, None
