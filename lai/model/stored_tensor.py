"""What a tensor of a checkpoint must be: plain, on the CPU, of a known shape and dtype."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lai.host.plain_data import Kind

FLOATS = (torch.float32, torch.bfloat16, torch.float16)
"""The dtypes that weights may have; a run converts them to its own."""


def tensor(shape: Sequence[int], dtypes: Sequence[torch.dtype]) -> Kind:
    """A tensor of this shape and one of these dtypes whose values all lie in memory, each once."""
    wanted = tuple(shape)
    names = " or ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
    return Kind(f"{names} of shape {wanted}", lambda value: is_plain(value, dtypes) and tuple(value.shape) == wanted)


def is_plain(value: Any, dtypes: Sequence[torch.dtype]) -> bool:
    """Whether `value` is such a tensor, of any shape."""
    return (
        type(value) in (Tensor, torch.nn.Parameter)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and value.dtype in dtypes
        and value.is_contiguous()
    )


SCALAR = Kind("one number", lambda value: is_plain(value, (*FLOATS, torch.float64)) and value.ndim == 0)
BYTES = Kind("bytes", lambda value: is_plain(value, (torch.uint8,)) and value.ndim == 1)
