"""Safetensors files of ours against the package safetensors 0.8.0."""

import pytest
import torch

from lai.export.safetensors_file import read_safetensors, write_safetensors

TENSORS = {
    "b.weight": torch.arange(12, dtype=torch.float32).reshape(3, 4),
    "a.weight": torch.tensor([[1.5, -2.0]], dtype=torch.bfloat16),
    "c.weight": torch.tensor([0.25, 4.0, -1.0], dtype=torch.float16),
}
METADATA = {"format": "pt", "lai.manifest": '{"name": "Árvíz"}'}


def test_the_package_reads_our_file(tmp_path):
    safetensors = pytest.importorskip("safetensors", reason="it reads the file, and is not installed")
    write_safetensors(tmp_path / "m.safetensors", TENSORS, METADATA)
    with safetensors.safe_open(tmp_path / "m.safetensors", "pt") as file:
        assert file.metadata() == METADATA
        assert set(file.keys()) == set(TENSORS)
        for name, tensor in TENSORS.items():
            assert file.get_tensor(name).dtype == tensor.dtype
            assert torch.equal(file.get_tensor(name), tensor)


def test_we_read_a_file_of_the_package(tmp_path):
    torch_files = pytest.importorskip("safetensors.torch", reason="it writes the file, and is not installed")
    torch_files.save_file(TENSORS, tmp_path / "m.safetensors", METADATA)
    tensors, metadata = read_safetensors(tmp_path / "m.safetensors")
    assert metadata == METADATA and set(tensors) == set(TENSORS)
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype and torch.equal(tensors[name], tensor)


def test_each_tensor_begins_at_a_multiple_of_its_width(tmp_path):
    write_safetensors(tmp_path / "m.safetensors", TENSORS, METADATA)
    data = (tmp_path / "m.safetensors").read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    assert begin % 8 == 0
    assert data[begin : begin + 48] == TENSORS["b.weight"].numpy().tobytes()  # the wider one first
