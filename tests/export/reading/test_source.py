"""One reader for every kind of file."""

import os

import pytest
import torch

from lai.export.checkpoint import read_checkpoint
from lai.export.huggingface import write_huggingface
from lai.export.packages import installed
from lai.export.reading.source import best_checkpoint, read_stored
from lai.host.errors import UserError
from lai.train import train


def test_a_model_file_and_a_checkpoint_are_read(model_file, checkpoint):
    path, module = checkpoint
    for file, kind in ((model_file, "model file"), (path, "checkpoint")):
        found = read_stored(str(file))
        assert (found.kind, found.dtype, found.path) == (kind, "f32", file)
        assert found.vocab.to_bytes() == module.vocab
        assert found.weights.keys() == module.model.state_dict().keys()
    assert all(torch.equal(found.weights[name], weight) for name, weight in module.model.state_dict().items())


def test_all_exports_of_a_model_have_its_weights(tmp_path, model):
    (tmp_path / "m.hf").mkdir()
    write_huggingface(tmp_path / "m.hf", model)
    files = [tmp_path / "m.hf"]
    if installed("gguf"):
        from lai.export.gguf import write_gguf

        write_gguf(tmp_path / "m.gguf", model)
        files.append(tmp_path / "m.gguf")
    for file in files:
        found = read_stored(file)
        assert all(torch.equal(found.weights[name], weight) for name, weight in model.weights.items())


def test_of_a_run_s_folder_the_best_checkpoint_is_read(tmp_path, compose_run, text_file):
    train(compose_run(f"data.path={text_file}", "trainer.max_epochs=2"))
    found = read_stored(tmp_path / "run")
    assert found.kind == "checkpoint" and found.path.parent == tmp_path / "run" / "checkpoints"
    losses = [read_checkpoint(path).training.val_loss for path in found.path.parent.iterdir()]
    assert found.training.val_loss == min(loss for loss in losses if loss)
    for path in found.path.parent.iterdir():
        if path.name != "last.ckpt":
            path.write_bytes(b"PK damaged")
    assert best_checkpoint(tmp_path / "run").name == "last.ckpt"


def test_what_holds_no_model_is_one_line(tmp_path, small_vocab):
    small_vocab.save(tmp_path / "vocab.bin")
    (tmp_path / "model.safetensors").write_bytes(bytes(8))
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")
    for name, words in (
        ("vocab.bin", "is no model; expected a model file"),
        ("model.safetensors", "is no model; give its folder; expected"),
        ("empty", "has neither a config.json of transformers nor checkpoints"),
        ("text.txt", "is no model"),
        ("pipe", "it is a named pipe"),
        ("none", "No such file"),
    ):
        with pytest.raises(UserError) as raised:
            read_stored(tmp_path / name)
        assert words in str(raised.value) and "\n" not in str(raised.value)
