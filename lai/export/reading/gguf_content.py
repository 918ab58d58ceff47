"""What is in a GGUF file: its values, and where its tensors lie. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

Written here and not by the package `gguf`, which trusts the numbers in a file. So reading needs no package, and the
reader that proves an export is not by the writer's author.
"""

import math
import os
import struct
from typing import IO, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lai.export import quantize
from lai.host.errors import UserError

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MAX_HEADER = 64 << 20  # bytes; those of vocabularies with 300,000 tokens have 15 MB
_MAX_ENTRIES = 1 << 16
_MAX_DIMENSIONS = 4
_NUMBERS = {0: "u1", 1: "i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "?", 10: "<u8", 11: "<i8", 12: "<f8"}
_TEXT, _ARRAY = 8, 9
_DTYPES = {0: "f32", 1: "f16", 2: "q4_0", 8: "q8_0", 30: "bf16"}
_OTHER_DTYPES = {
    3: "q4_1",
    6: "q5_0",
    7: "q5_1",
    10: "q2_K",
    11: "q3_K",
    12: "q4_K",
    13: "q5_K",
    14: "q6_K",
    15: "q8_K",
}


class Place(NamedTuple):
    """Where a tensor lies: its shape as PyTorch has it, its dtype by name, its first byte and its bytes."""

    shape: tuple[int, ...]
    dtype: str
    offset: int
    size: int


class GgufContent(NamedTuple):
    """The values by their keys, arrays of numbers as NumPy's, and the tensors' places by their names."""

    values: dict[str, Any]
    places: dict[str, Place]


def read_content(file: IO[bytes], name: str) -> GgufContent:
    """The values and the places of the tensors, all of which lie within the file.

    Args:
        name: of the file, for error lines.

    Raises:
        UserError: the file is foreign, truncated or damaged, or a tensor has a dtype that LAi does not read.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    header = _Header(file, min(size, _MAX_HEADER), name)
    if (magic := header.take(4)) != MAGIC:
        raise UserError(f"{name} is no GGUF file: it starts with {magic!r}, expected {MAGIC!r}")
    version = header.number("<u4")
    if version not in _VERSIONS:
        raise UserError(f"{name} has GGUF version {version}; LAi reads 2 and 3, of little-endian machines")
    n_tensors, n_values = header.count(), header.count()
    values: dict[str, Any] = {}
    for _ in range(n_values):
        key = header.text()
        if key in values:
            raise UserError(f"{name} has the key {key[:60]!r} twice; it is damaged")
        values[key] = header.value(header.number("<u4"))
    found = [header.tensor() for _ in range(n_tensors)]
    alignment = values.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 1 <= alignment <= 1 << 20:
        raise UserError(f"{name} has general.alignment {alignment!r}; expected a number of bytes")
    start = -(-file.tell() // alignment) * alignment
    places = {key: place._replace(offset=start + place.offset) for key, place in found}
    if len(places) < len(found):
        raise UserError(f"{name} names a tensor twice; it is damaged")
    for key, place in places.items():
        if place.offset + place.size > size:
            raise UserError(
                f"{name} ends inside {key[:60]}: {size:,} bytes found, {place.offset + place.size:,} expected at least"
            )
    return GgufContent(values, places)


def read_tensor(file: IO[bytes], place: Place) -> Tensor:
    """A tensor's values as float32."""
    file.seek(place.offset)
    data = file.read(place.size)
    if place.dtype == "bf16":
        return torch.frombuffer(bytearray(data), dtype=torch.bfloat16).float().reshape(place.shape)
    return torch.from_numpy(np.array(quantize.decode(data, place.shape, place.dtype)))


class _Header:
    """Reads an open file from its beginning, up to `limit` bytes."""

    def __init__(self, file: IO[bytes], limit: int, name: str) -> None:
        self._file, self._left, self._name = file, limit, name

    def take(self, size: int) -> bytes:
        if size > self._left:
            raise UserError(f"{self._name} ends inside its header, or that is too large; it is cut short or damaged")
        self._left -= size
        return self._file.read(size)

    def number(self, kind: str) -> Any:
        return np.frombuffer(self.take(np.dtype(kind).itemsize), kind)[0].item()

    def count(self) -> int:
        found: int = self.number("<u8")
        if found > _MAX_ENTRIES:
            raise UserError(f"{self._name} says it has {found:,} entries; expected at most {_MAX_ENTRIES:,}")
        return found

    def text(self) -> str:
        (length,) = struct.unpack("<Q", self.take(8))
        try:
            return self.take(length).decode()
        except UnicodeDecodeError:
            raise UserError(f"{self._name} has a text that is no UTF-8; it is damaged") from None

    def value(self, kind: int) -> Any:
        if kind == _TEXT:
            return self.text()
        if kind == _ARRAY:
            return self._array(self.number("<u4"), self.number("<u8"))
        return self.number(self._number_kind(kind))

    def _array(self, kind: int, length: int) -> Any:
        if kind != _TEXT:
            item = np.dtype(self._number_kind(kind))
            return np.frombuffer(self.take(item.itemsize * length), item)
        if 8 * length > self._left:
            self.take(8 * length)  # refuses it
        return [self.text() for _ in range(length)]

    def _number_kind(self, kind: int) -> str:
        if kind not in _NUMBERS:
            raise UserError(f"{self._name} has a value of the unknown type {kind}; it is damaged")
        return _NUMBERS[kind]

    def tensor(self) -> tuple[str, Place]:
        """A tensor's name and place; the offset is that behind the header."""
        key, dimensions = self.text(), self.number("<u4")
        if not 1 <= dimensions <= _MAX_DIMENSIONS:
            raise UserError(f"{self._name}: {key[:60]} has {dimensions} dimensions; it is damaged")
        shape = tuple(reversed([self.number("<u8") for _ in range(dimensions)]))
        number, offset = self.number("<u4"), self.number("<u8")
        dtype = _DTYPES.get(number)
        if dtype is None:
            found = _OTHER_DTYPES.get(number, f"number {number}")
            raise UserError(
                f"{self._name}: {key[:60]} has the dtype {found}; LAi reads {', '.join(sorted(_DTYPES.values()))}"
            )
        if dtype in ("q4_0", "q8_0") and shape[-1] % quantize.BLOCK:
            raise UserError(f"{self._name}: {key[:60]} has rows of {shape[-1]} weights, {dtype} needs multiples of 32")
        size = quantize.nbytes(math.prod(shape), "f16" if dtype == "bf16" else dtype)
        return key, Place(shape, dtype, offset, size)
