"""Checkpoints are written beside the file that they replace, and whole or not at all."""

import resource
import tempfile

import pytest
import torch

from lai.model.plain_state import drop_non_plain_state
from lai.run.checkpoint_io import AtomicCheckpointIO
from lai.train import train


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path):
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 1}, path)
    before = path.read_bytes()
    with pytest.raises(AttributeError, match="local object"):
        AtomicCheckpointIO().save_checkpoint({"weights": torch.ones(9), "step": lambda: 2}, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    assert torch.load(path, weights_only=True) == {"step": 1}


def test_a_full_disk_is_told_as_such(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    try:
        with pytest.raises(OSError, match=r"File too large.*last\.ckpt"):
            AtomicCheckpointIO().save_checkpoint({"weights": torch.ones(1 << 16)}, tmp_path / "last.ckpt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_a_link_to_another_checkpoint_is_replaced_and_not_followed(tmp_path):
    AtomicCheckpointIO().save_checkpoint({"step": 1}, tmp_path / "best.ckpt")
    (tmp_path / "last.ckpt").symlink_to("best.ckpt")
    AtomicCheckpointIO().save_checkpoint({"step": 2}, tmp_path / "last.ckpt")
    assert torch.load(tmp_path / "best.ckpt", weights_only=True) == {"step": 1}
    assert torch.load(tmp_path / "last.ckpt", weights_only=True) == {"step": 2}


def test_a_run_needs_no_folder_for_temporary_files(tmp_path, compose_run, text_file, monkeypatch):
    run = compose_run(f"data.path={text_file}", "trainer.max_steps=2")

    def nowhere(*arguments, dir=None, **more):
        assert dir is not None, "written to the system's folder for temporary files"
        return mkstemp(*arguments, dir=dir, **more)

    mkstemp = tempfile.mkstemp
    monkeypatch.setattr(tempfile, "mkstemp", nowhere)
    train(run)
    assert torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["global_step"] == 2


def test_only_files_of_the_run_are_removed(tmp_path):
    run, outside = tmp_path / "run", tmp_path / "outside"
    for folder in (run / "checkpoints" / "folder", outside):
        folder.mkdir(parents=True)
    io = AtomicCheckpointIO(run)
    for path in (run / "checkpoints" / "earlier.ckpt", outside / "earlier.ckpt"):
        path.write_bytes(b"one")
    for path in (run / "checkpoints" / "own.ckpt", outside / "own.ckpt"):
        io.save_checkpoint({"step": 1}, path)
    (run / "link").symlink_to(outside)
    for path in (
        run / "checkpoints" / "earlier.ckpt",
        run / "checkpoints" / "own.ckpt",
        run / "checkpoints" / "folder",
        run / ".." / "outside" / "earlier.ckpt",
        run / "link" / "earlier.ckpt",
        outside / "earlier.ckpt",
        outside / "own.ckpt",
        outside,
    ):
        io.remove_checkpoint(path)
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["folder"]
    assert [path.name for path in outside.iterdir()] == ["earlier.ckpt"]


def test_state_that_holds_itself_or_is_too_deep_is_left_out(caplog):
    itself, deep = {}, []
    itself["me"] = itself
    for _ in range(100_000):
        deep = [deep]
    states = {"Itself": itself, "Deep": {"deep": deep}, "Plain": {"count": 1}}
    checkpoint = {"callbacks": states}
    drop_non_plain_state(checkpoint, set())
    assert checkpoint["callbacks"] == {"Plain": {"count": 1}}
    assert "the state of Itself" in caplog.text and "the state of Deep" in caplog.text
