"""What matrix products are computed in, and how to get there."""

import torch
from torch import Tensor


def product_dtype(x: Tensor) -> torch.dtype:
    """The dtype that a product with `x` is computed in: autocast's where that is on, else that of `x`."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def converted(x: Tensor, dtype: torch.dtype) -> Tensor:
    """`x.to(dtype)`, for what an autograd function returns.

    PyTorch 2.11 compiles one that returns what a `to` without effect gave it with gradients of zero: the result has two
    names then (pytorch/pytorch issue 180642).
    """
    return x if x.dtype == dtype else x.to(dtype)
