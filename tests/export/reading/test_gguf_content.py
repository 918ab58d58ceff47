"""GGUF files of strangers: what is in them, and one line for what is damaged."""

import io
import struct

import numpy as np
import pytest

from lai.export.reading.gguf_content import read_content, read_tensor
from lai.host.errors import UserError

F32, U32, STRING, ARRAY = 6, 4, 8, 9


def text(value):
    return struct.pack("<Q", len(value.encode())) + value.encode()


def file_of(values=b"", n_values=0, tensors=b"", n_tensors=0, data=b"", version=3):
    header = b"GGUF" + struct.pack("<IQQ", version, n_tensors, n_values) + values + tensors
    return header + bytes(-len(header) % 32) + data


def tensor(name, shape, kind=0, offset=0):
    """A tensor's entry; GGUF gives the last dimension first."""
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *reversed(shape), kind, offset)


def read(data):
    return read_content(io.BytesIO(data), "x.gguf")


def test_values_and_tensors_are_those_of_the_file():
    values = text("a") + struct.pack("<If", F32, 0.5)
    values += text("b") + struct.pack("<IIQ", ARRAY, STRING, 2) + text("dog") + text("kutyá")
    values += text("c") + struct.pack("<IIQ3I", ARRAY, U32, 3, 1, 2, 3)
    numbers = np.arange(6, dtype="<f4")
    data = file_of(values, 3, tensor("t", (2, 3)), 1, numbers.tobytes())
    found = read(data)
    assert found.values["a"] == 0.5 and found.values["b"] == ["dog", "kutyá"]
    assert found.values["c"].tolist() == [1, 2, 3]
    assert read_tensor(io.BytesIO(data), found.places["t"]).tolist() == numbers.reshape(2, 3).tolist()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"LAi1" + bytes(100), "is no GGUF file: it starts with b'LAi1'"),
        (file_of(version=1), "has GGUF version 1; LAi reads 2 and 3"),
        (file_of(n_values=1 << 40), "says it has 1,099,511,627,776 entries"),
        (file_of(text("a") + struct.pack("<IIQ", ARRAY, STRING, 1 << 60), 1), "ends inside its header"),
        (file_of(text("a") + struct.pack("<IIQ", ARRAY, F32, 1 << 60), 1), "ends inside its header"),
        (file_of(text("a") + struct.pack("<IIQ", ARRAY, ARRAY, 1), 1), "unknown type 9"),
        (file_of(struct.pack("<Q", 1 << 62), 1), "ends inside its header"),
        (file_of(struct.pack("<Q", 2) + b"\xff\xff", 1), "a text that is no UTF-8"),
        (file_of(2 * (text("a") + struct.pack("<If", F32, 0.5)), 2), "has the key 'a' twice"),
        (file_of(tensors=tensor("t", (4, 4), 12), n_tensors=1), "t has the dtype q4_K; LAi reads bf16, f16, f32"),
        (file_of(tensors=tensor("t", (4, 4), 99), n_tensors=1), "t has the dtype number 99"),
        (file_of(tensors=tensor("t", (4, 4), 8), n_tensors=1), "rows of 4 weights, q8_0 needs multiples of 32"),
        (file_of(tensors=tensor("t", (1 << 40, 1 << 40)), n_tensors=1), "ends inside t"),
        (file_of(tensors=tensor("t", (2, 2), offset=1 << 60), n_tensors=1), "ends inside t"),
        (file_of(tensors=2 * tensor("t", (1,)), n_tensors=2, data=bytes(4)), "names a tensor twice"),
        (file_of(text("general.alignment") + struct.pack("<II", U32, 0), 1), "general.alignment 0"),
    ],
)
def test_what_is_no_whole_file_is_one_line(data, words):
    with pytest.raises(UserError) as raised:
        read(data)
    assert words in str(raised.value) and "\n" not in str(raised.value)


def test_a_file_that_is_cut_short_anywhere_is_refused():
    values = text("a") + struct.pack("<IIQ", ARRAY, STRING, 2) + text("dog") + text("kutyá")
    data = file_of(values, 1, tensor("t", (2, 3)), 1, bytes(24))
    for size in range(len(data)):
        with pytest.raises(UserError):
            read(data[:size])
