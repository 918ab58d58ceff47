"""Checkpoints are written beside the file that they replace, and whole or not at all."""

import tempfile

import pytest
import torch

from lai.checkpoint_io import AtomicCheckpointIO
from lai.train import train


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path):
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 1}, path)
    before = path.read_bytes()
    with pytest.raises(AttributeError, match="pickle"):
        AtomicCheckpointIO().save_checkpoint({"weights": torch.ones(9), "step": lambda: 2}, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    assert torch.load(path, weights_only=True) == {"step": 1}


def test_a_run_needs_no_folder_for_temporary_files(tmp_path, compose_run, text_file, monkeypatch):
    run = compose_run(f"data.path={text_file}", "trainer.max_steps=2")

    def nowhere(*arguments, dir=None, **more):
        assert dir is not None, "written to the system's folder for temporary files"
        return mkstemp(*arguments, dir=dir, **more)

    mkstemp = tempfile.mkstemp
    monkeypatch.setattr(tempfile, "mkstemp", nowhere)
    train(run)
    assert torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["global_step"] == 2
