"""A model file that exists already is kept under another name; another kind of file is refused."""

import pytest
import torch
from toy_network import network

from lai.export.lai_file import read_model
from lai.export.verify import export_model
from lai.host.errors import UserError
from lai.model.transformer import Transformer


def test_an_export_keeps_an_earlier_model_under_another_name(tmp_path, config, small_vocab):
    def export(seed):
        torch.manual_seed(seed)
        return export_model(tmp_path / "m.bin", config, Transformer(config).state_dict(), small_vocab)

    assert export(0).kept is None
    earlier = (tmp_path / "m.bin").read_bytes()
    assert export(0).kept is None
    assert export(1).kept == tmp_path / "m.1.bin"
    assert (tmp_path / "m.1.bin").read_bytes() == earlier != (tmp_path / "m.bin").read_bytes()
    assert sorted(path.name for path in tmp_path.glob("*.bin")) == ["m.1.bin", "m.bin"]


def test_what_a_link_leads_to_is_kept_beside_it(tmp_path, config, small_vocab):
    (tmp_path / "disk").mkdir()
    (tmp_path / "m.bin").symlink_to(tmp_path / "disk" / "far.bin")
    for seed in (0, 1):
        torch.manual_seed(seed)
        export_model(tmp_path / "m.bin", config, Transformer(config).state_dict(), small_vocab)
    assert (tmp_path / "m.bin").is_symlink()
    assert sorted(path.name for path in (tmp_path / "disk").glob("*.bin")) == ["far.1.bin", "far.bin"]


@pytest.mark.parametrize("name", ["x.gguf", "x.safetensors", "x.pt", "x.onnx", "x.ckpt", "x.bin.GGUF"])
def test_the_name_of_another_kind_of_file_is_refused(tmp_path, config, small_vocab, name):
    with pytest.raises(UserError, match=r", and a model file ends in \.bin; give .*\.bin$") as raised:
        export_model(tmp_path / name, config, network(config).state_dict(), small_vocab)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x", "x.bin", "x.BIN"])
def test_a_model_file_ends_in_bin_or_in_nothing(tmp_path, config, small_vocab, name):
    export_model(tmp_path / name, config, network(config).state_dict(), small_vocab)
    assert read_model(tmp_path / name).config.dim == config.dim
