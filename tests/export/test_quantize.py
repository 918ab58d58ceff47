"""Weight dtypes against blocks worked out by hand from ggml's definitions."""

import struct

import numpy as np
import pytest

from lai.export import quantize


def test_q8_0_is_a_scale_and_32_signed_bytes():
    row = np.array([-127.0, 63.5, 0.4, -0.6] + [0.0] * 28, dtype=np.float32)  # the scale is 127 / 127
    expected = struct.pack("<e32b", 1.0, -127, 64, 0, -1, *[0] * 28)  # halves are rounded away from zero
    assert quantize.encode(row[None], "q8_0") == expected
    assert quantize.decode(expected, (1, 32), "q8_0")[0, :4].tolist() == [-127, 64, 0, -1]


def test_q4_0_is_a_scale_and_32_nibbles_the_second_half_in_the_high_ones():
    row = np.array([8.0, -7.0, 1.0] + [0.0] * 13 + [3.0] + [0.0] * 15, dtype=np.float32)  # the scale is 8 / -8
    low = [0, 15, 7] + [8] * 13  # q = round(x / -1) + 8
    high = [5] + [8] * 15
    expected = struct.pack("<e16B", -1.0, *(a | b << 4 for a, b in zip(low, high, strict=True)))
    assert quantize.encode(row[None], "q4_0") == expected
    assert quantize.decode(expected, (1, 32), "q4_0")[0].tolist() == row.tolist()


@pytest.mark.parametrize(("dtype", "bytes_a_block"), [("f32", 128), ("f16", 64), ("q8_0", 34), ("q4_0", 18)])
def test_sizes_are_those_of_ggml(dtype, bytes_a_block):
    weights = np.ones((3, 64), dtype=np.float32)
    assert quantize.nbytes(3 * 64, dtype) == len(quantize.encode(weights, dtype)) == 6 * bytes_a_block


@pytest.mark.parametrize("dtype", ["q8_0", "q4_0"])
def test_a_block_of_zeros_stays_zero(dtype):
    zeros = np.zeros((1, 32), dtype=np.float32)
    assert not quantize.decode(quantize.encode(zeros, dtype), (1, 32), dtype).any()


@pytest.mark.parametrize(
    ("value", "width", "dtype", "words"),
    [(7e4, 32, "f16", "65504"), (1e7, 32, "q8_0", "block scale"), (1.0, 33, "q4_0", "multiple of 32")],
)
def test_what_a_dtype_cannot_hold_is_refused(value, width, dtype, words):
    with pytest.raises(ValueError, match=words):
        quantize.encode(np.full((1, width), value, dtype=np.float32), dtype)
