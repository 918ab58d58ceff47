"""A folder of checkpoints that a user names keeps what another run wrote there."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from processes import lai_train
from runs import TINY
from toy_checkpoints import edited

from lai.run.checkpoint_folders import free_folders


def run_with(folder, tmp_path, ckpt_path=None):
    node = {"dirpath": str(folder)}
    return SimpleNamespace(
        callbacks={"checkpoint": node, "last": dict(node), "bar": {}},
        output_dir=str(tmp_path / "run"),
        ckpt_path=ckpt_path,
    )


def folders_of(run):
    return [Path(run.callbacks[name]["dirpath"]).name for name in ("checkpoint", "last")]


def test_runs_that_begin_together_get_folders_of_their_own(tmp_path):
    runs = [run_with(tmp_path / "kept", tmp_path) for _ in range(4)]
    with free_folders(runs[0]), free_folders(runs[1]), free_folders(runs[2]), free_folders(runs[3]):
        assert [folders_of(run) for run in runs] == [[name] * 2 for name in ("kept", "kept-1", "kept-2", "kept-3")]
    after = run_with(tmp_path / "kept", tmp_path)
    with free_folders(after):  # nobody wrote a checkpoint
        assert folders_of(after) == ["kept", "kept"]


def test_the_runs_own_folder_and_an_object_store_stay_as_they_are(tmp_path):
    for folder in (tmp_path / "run" / "checkpoints", "s3://bucket/kept"):
        run = run_with(folder, tmp_path)
        with free_folders(run):
            assert run.callbacks["last"]["dirpath"] == str(folder)
    assert not list(tmp_path.iterdir())


def test_only_the_run_that_wrote_the_checkpoints_continues_in_their_folder(tmp_path, checkpoint):
    kept = tmp_path / "kept"
    kept.mkdir()
    for name in ("step1.ckpt", "last.ckpt"):
        edited(checkpoint[0], lambda _: None, kept / name)
    own, other = tmp_path / "own.ckpt", tmp_path / "other.ckpt"
    edited(checkpoint[0], lambda _: None, own)
    edited(checkpoint[0], lambda content: content["lai"].update(run="0" * 32), other)
    for ckpt_path, expected in ((None, "kept-1"), (str(own), "kept"), (str(other), "kept-1")):
        run = run_with(kept, tmp_path, ckpt_path)
        with free_folders(run):
            assert folders_of(run) == [expected] * 2


@pytest.mark.heavy
def test_a_fresh_start_leaves_the_checkpoints_in_a_shared_folder(tmp_path, text_file):
    run = (*TINY, f"data.path={text_file}", "trainer.max_steps=1", "callbacks.last.dirpath=shared")
    assert lai_train(*run, "hydra.run.dir=a", cwd=tmp_path).returncode == 0
    before = (tmp_path / "shared" / "last.ckpt").read_bytes()
    done = lai_train(*run, "hydra.run.dir=b", "seed=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "callbacks.last: shared holds another run's checkpoints; shared-1 is used" in done.stdout
    assert (tmp_path / "shared" / "last.ckpt").read_bytes() == before
    assert torch.load(tmp_path / "shared-1" / "last.ckpt", weights_only=True)["lai"]["training"]["steps"] == 1
