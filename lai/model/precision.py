"""The dtype of matrix products, and conversion to it."""

import torch
from torch import Tensor


def product_dtype(x: Tensor) -> torch.dtype:
    """The dtype that a product with `x` is computed in: autocast's where that is on, else that of `x`."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def converted(x: Tensor, dtype: torch.dtype) -> Tensor:
    """`x.to(dtype)`, for what an autograd function returns.

    If such a function returns the result of a `to` without effect, the compiled function of PyTorch 2.11 has gradients
    of zero, because the result is an alias (pytorch/pytorch issue 180642).
    """
    return x if x.dtype == dtype else x.to(dtype)
