"""Weights in a safetensors file: the length of a JSON header, the header, the tensors' bytes.

Written here and not by the package, whose headers have their metadata in another order each time: so the same model
gives the same file. https://github.com/huggingface/safetensors describes the format.
"""

import json
import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import torch
from torch import Tensor

from lai.host.errors import UserError
from lai.host.files import open_regular

_DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
_LENGTH = struct.Struct("<Q")
_ALIGNMENT = 8
_MAX_HEADER = 100_000_000  # as the package has it


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors of 32 or 16 bits; the wider ones first, so that each starts at a multiple of its width."""
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name in names:
        start, end = end, end + tensors[name].nbytes
        header[name] = {
            "dtype": _DTYPES[tensors[name].dtype],
            "shape": list(tensors[name].shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with path.open("wb") as file:
        file.write(_LENGTH.pack(len(text)) + text)
        for name in names:
            file.write(tensors[name].contiguous().view(torch.uint8).numpy().data)


class StoredTensor(NamedTuple):
    """A tensor's dtype as the file names it, its shape, and where its bytes lie in the file."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int


def read_header(file: IO[bytes], name: str) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """The tensors' places, all of which lie within the open file, and the metadata.

    Args:
        name: of the file, for error lines.

    Raises:
        UserError: the file is foreign, truncated or damaged.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    length = _LENGTH.unpack(file.read(_LENGTH.size))[0] if size >= _LENGTH.size else 0
    if not 0 < length <= min(_MAX_HEADER, size - _LENGTH.size):
        raise UserError(f"{name} is no safetensors file, or is cut short: its header would have {length:,} bytes")
    try:
        header = json.loads(file.read(length))
        metadata = header.pop("__metadata__", {})
        if not all(isinstance(text, str) for text in metadata.values()):
            raise ValueError
        start = _LENGTH.size + length
        places = {tensor: _place(entry, start) for tensor, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UserError(f"{name} has a header that is not one of safetensors; it is damaged") from None
    for tensor, place in places.items():
        if place.offset + place.size > size:
            raise UserError(
                f"{name} ends inside {tensor[:80]}: {size:,} bytes found, {place.offset + place.size:,} expected"
            )
    return places, metadata


def read_tensor(file: IO[bytes], name: str, place: StoredTensor) -> Tensor:
    """A tensor in its own dtype.

    Args:
        name: of the file and the tensor, for error lines.

    Raises:
        UserError: it has a dtype that LAi does not read, or another size than its shape.
    """
    dtypes = {name: dtype for dtype, name in _DTYPES.items()}
    if place.dtype not in dtypes:
        raise UserError(f"{name} has the dtype {place.dtype[:20]}; LAi reads {', '.join(dtypes)}")
    dtype = dtypes[place.dtype]
    if place.size != math.prod(place.shape) * dtype.itemsize:
        raise UserError(f"{name} has {place.size:,} bytes, which its shape {list(place.shape)} does not; it is damaged")
    if not place.size:
        return torch.zeros(place.shape, dtype=dtype)
    file.seek(place.offset)
    return torch.frombuffer(bytearray(file.read(place.size)), dtype=dtype).reshape(place.shape)


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors, in their own dtypes, and the metadata.

    Raises:
        UserError: as `read_header` and `read_tensor`.
    """
    with open_regular(path) as file:
        places, metadata = read_header(file, str(path))
        return {name: read_tensor(file, f"{path}: {name}", place) for name, place in places.items()}, metadata


def _place(entry: dict[str, Any], start: int) -> StoredTensor:
    shape, (begin, end) = entry["shape"], entry["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)) or end < begin:
        raise ValueError
    if not isinstance(entry["dtype"], str):
        raise ValueError
    return StoredTensor(entry["dtype"], tuple(shape), start + begin, end - begin)
