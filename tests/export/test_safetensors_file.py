"""Safetensors files, as the package writes them and damaged."""

import json
import struct

import pytest
import torch

from lai.export.safetensors_file import read_safetensors, write_safetensors
from lai.host.errors import UserError


def file_of(path, header, data=bytes(8)):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"t": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


def test_what_is_written_comes_back(tmp_path):
    tensors = {"a": torch.randn(3, 2), "b": torch.randn(5).half(), "c": torch.randn(4).bfloat16(), "d": torch.zeros(0)}
    write_safetensors(tmp_path / "x", tensors, {"format": "pt"})
    found, metadata = read_safetensors(tmp_path / "x")
    assert metadata == {"format": "pt"} and found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) and found[name].dtype == tensors[name].dtype for name in tensors)


def test_files_of_the_package_are_read(tmp_path):
    package = pytest.importorskip("safetensors.torch", reason="transformers' package; it is not installed")
    tensors = {"a": torch.randn(3, 2), "b": torch.randn(5).half()}
    package.save_file(tensors, tmp_path / "x")  # without metadata
    found, metadata = read_safetensors(tmp_path / "x")
    assert metadata == {} and all(torch.equal(found[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (b"{", "a header that is not one of safetensors"),
        (b"[]", "a header that is not one of safetensors"),
        (b"[" * 100_000, "a header that is not one of safetensors"),
        ({"__metadata__": {"a": 1}}, "a header that is not one of safetensors"),
        ({"t": 3}, "a header that is not one of safetensors"),
        (entry(shape=(-2,)), "a header that is not one of safetensors"),
        (entry(shape=(True, 2)), "a header that is not one of safetensors"),
        (entry(offsets=(8, 0)), "a header that is not one of safetensors"),
        (entry(offsets=(0, 1 << 60)), "ends inside t"),
        (entry(shape=(3,)), "has 8 bytes, which its shape [3] does not"),
        (entry(shape=(1 << 40, 1 << 40)), "which its shape [1099511627776, 1099511627776] does not"),
        (entry(dtype="I64", shape=(1,)), "has the dtype I64; LAi reads F32, F16, BF16"),
    ],
    ids=str,
)
def test_damage_is_one_line(tmp_path, header, words):
    with pytest.raises(UserError) as raised:
        read_safetensors(file_of(tmp_path / "x", header))
    assert words in str(raised.value) and "\n" not in str(raised.value)


def test_a_header_larger_than_the_file_takes_no_memory(tmp_path):
    (tmp_path / "x").write_bytes(struct.pack("<Q", 1 << 62) + b"{}")
    with pytest.raises(UserError, match="its header would have 4,611,686,018,427,387,904 bytes"):
        read_safetensors(tmp_path / "x")
