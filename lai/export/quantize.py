"""Weight dtypes of model files: float32, float16 and the two block formats, byte for byte as in ggml."""

import numpy as np
from numpy.typing import NDArray

BLOCK = 32
"""Elements of a row that share one scale in q8_0 and q4_0."""

DTYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 3}
"""The dtype's number in the file header."""

_BYTES_PER_BLOCK = {"f32": 4 * BLOCK, "f16": 2 * BLOCK, "q4_0": 2 + BLOCK // 2, "q8_0": 2 + BLOCK}

Floats = NDArray[np.float32]


def nbytes(elements: int, dtype: str) -> int:
    """The size of `elements` weights in bytes."""
    return elements * _BYTES_PER_BLOCK[dtype] // BLOCK


def encode(weights: Floats, dtype: str) -> bytes:
    """The bytes of a matrix (out, in) in `dtype`; block dtypes need `in` to be a multiple of 32.

    Raises:
        ValueError: the width does not divide into blocks, or a value is too large for float16.
    """
    weights = np.ascontiguousarray(weights, dtype="<f4")
    if dtype == "f32":
        return weights.tobytes()
    if dtype == "f16":
        with np.errstate(over="ignore"):
            half = weights.astype("<f2")
        if not np.isfinite(half).all():
            raise ValueError("a weight is too large for float16 (above 65504)")
        return half.tobytes()
    if weights.shape[-1] % BLOCK:
        raise ValueError(f"{dtype} needs rows of a multiple of {BLOCK} elements, found {weights.shape[-1]}")
    blocks = weights.reshape(-1, BLOCK)
    return _encode_q8_0(blocks) if dtype == "q8_0" else _encode_q4_0(blocks)


def decode(data: bytes | memoryview, shape: tuple[int, ...], dtype: str) -> Floats:
    """The float32 values of a tensor's bytes."""
    if dtype == "f32":
        return np.frombuffer(data, dtype="<f4").reshape(shape).astype(np.float32)
    if dtype == "f16":
        return np.frombuffer(data, dtype="<f2").astype(np.float32).reshape(shape)
    raw = np.frombuffer(data, dtype=np.uint8).reshape(-1, _BYTES_PER_BLOCK[dtype])
    scales = raw[:, :2].copy().view("<f2").astype(np.float32)
    if dtype == "q8_0":
        values = raw[:, 2:].view(np.int8).astype(np.float32)
    else:
        values = np.concatenate((raw[:, 2:] & 15, raw[:, 2:] >> 4), axis=1).astype(np.float32) - 8
    with np.errstate(invalid="ignore"):  # of a damaged file, whose values read_model refuses
        return (scales * values).reshape(shape)


def _with_scales(scales: Floats, payload: NDArray[np.uint8]) -> bytes:
    with np.errstate(over="ignore"):
        halves = scales.astype("<f2")
    if not np.isfinite(halves).all():
        raise ValueError("a weight is too large for a float16 block scale")
    return np.concatenate((halves.view(np.uint8).reshape(-1, 2), payload), axis=1).tobytes()


def _inverse(scales: Floats) -> Floats:
    # A scale too small to invert is 0 as float16 anyway.
    with np.errstate(over="ignore"):
        inverse = np.divide(1.0, scales, out=np.zeros_like(scales), where=scales != 0)
    inverse[np.isinf(inverse)] = 0
    return inverse


def _encode_q8_0(blocks: Floats) -> bytes:
    scales = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    scaled = blocks * _inverse(scales)
    # ggml rounds halves away from zero; the sum in float64 is exact, so that nothing below a half is rounded up to it.
    quants = np.trunc(scaled.astype(np.float64) + np.copysign(0.5, scaled)).astype(np.int8)
    return _with_scales(scales, quants.view(np.uint8))


def _encode_q4_0(blocks: Floats) -> bytes:
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1)[:, None], axis=1)
    scales = largest / np.float32(-8)
    quants = np.minimum(15, (blocks * _inverse(scales) + np.float32(8.5)).astype(np.int32)).astype(np.uint8)
    half = BLOCK // 2
    return _with_scales(scales, quants[:, :half] | (quants[:, half:] << np.uint8(4)))
