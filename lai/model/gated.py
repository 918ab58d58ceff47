"""The gate of a feed-forward, which keeps less for the backward pass than its two operations would."""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

Activation = Literal["silu", "gelu"]


def gated(activation: Activation, gate: Tensor, up: Tensor) -> Tensor:
    """activation(gate) * up, elementwise (Shazeer 2020).

    Kept for the backward pass are gate and up alone; activation(gate) is worked out again. That is one of the four
    tensors of hidden_dim elements a token that a feed-forward would keep, with the input of its last product.
    """
    result: Tensor = _Gated.apply(activation, gate, up)  # type: ignore[no-untyped-call]
    return result


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, activation: Activation, gate: Tensor, up: Tensor) -> Tensor:
        ctx.activation = activation
        ctx.save_for_backward(gate, up)
        # Not in place: PyTorch 2.11 compiles a forward that changes what it returns with gradients of zero.
        return (F.silu(gate) if activation == "silu" else F.gelu(gate)) * up

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        if ctx.activation == "silu":
            return None, torch.ops.aten.silu_backward(gradient * up, gate), F.silu(gate).mul_(gradient)
        return None, torch.ops.aten.gelu_backward(gradient * up, gate), F.gelu(gate).mul_(gradient)
