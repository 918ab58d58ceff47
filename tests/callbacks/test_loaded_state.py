"""Paths in a checkpoint are made anew in the run's own folder; nothing outside of it is removed."""

import math
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from toy_callbacks import THREE_EPOCHS, exported, spoilt
from toy_checkpoints import edited, make_unversioned

from lai.callbacks.best_checkpoint import BestCheckpoint
from lai.export.checkpoint import read_checkpoint
from lai.train import train


@pytest.fixture
def stopped(tmp_path, compose_run, text_file):
    """A run that was stopped behind its first epoch; the overrides of the run that resumes it."""
    common = (f"data.path={text_file}", *THREE_EPOCHS)
    first = compose_run(*common)
    first.callbacks["signal_at"] = {"_target_": "toy_callbacks.SignalAt", "batch": 22 + 3}
    with pytest.raises(KeyboardInterrupt):
        train(first)
    return (*common, f"ckpt_path={tmp_path / 'run' / 'checkpoints' / 'last.ckpt'}")


def state_of(content, name):
    return next(state for key, state in content["callbacks"].items() if key.startswith(name))


@pytest.mark.parametrize("kind", ["file", "folder", "linked folder", "file beside"])
@pytest.mark.parametrize("callback", ["ModelCheckpoint", "LastCheckpoint"])
def test_what_a_checkpoint_points_to_is_not_removed(tmp_path, compose_run, stopped, kind, callback):
    own = tmp_path / "run" / "checkpoints"
    precious = tmp_path / "precious"
    if kind == "file":
        precious.write_text("mine")
    elif kind == "file beside":
        precious = own / "precious.ckpt"
        precious.write_text("mine")
    else:
        precious.mkdir()
        (precious / "inside").write_text("mine")
    path = precious
    if kind == "linked folder":
        path = own / "link"
        path.symlink_to(precious)

    def point(content):
        state = state_of(content, callback)
        state["best_model_path"] = state["kth_best_model_path"] = state["last_model_path"] = str(path)
        state["best_k_models"] = {str(path): torch.tensor(9.0)}
        state["kth_value"] = torch.tensor(9.0)
        state["dirpath"] = str(own if kind in ("file beside", "linked folder") else tmp_path)

    edited(own / "last.ckpt", point)
    assert math.isfinite(train(compose_run(*stopped)))
    assert (precious if precious.is_file() else precious / "inside").read_text() == "mine"
    assert path.exists()


def test_the_earlier_best_checkpoint_is_removed_when_a_better_one_comes(tmp_path, compose_run, stopped):
    train(compose_run(*stopped))
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()) == ["last.ckpt", "step66.ckpt"]


@pytest.mark.parametrize("is_old", [False, True])
def test_a_moved_run_resumes_with_its_best_checkpoint(tmp_path, compose_run, text_file, is_old):
    common = (f"data.path={text_file}", *THREE_EPOCHS)
    first = spoilt(compose_run(*common), 2, 1000.0)
    first.callbacks["signal_at"] = {"_target_": "toy_callbacks.SignalAt", "batch": 2 * 22 + 3}
    with pytest.raises(KeyboardInterrupt):
        train(first)
    moved = (tmp_path / "run").rename(tmp_path / "moved")
    if is_old:
        for path in (moved / "checkpoints").iterdir():
            edited(path, make_unversioned)
    resumed = compose_run(*common, f"ckpt_path={moved / 'checkpoints' / 'last.ckpt'}", f"output_dir={moved}")
    train(resumed)
    best = read_checkpoint(moved / "checkpoints" / "step44.ckpt").weights
    assert all(torch.equal(torch.as_tensor(weight), best[name]) for name, weight in exported(tmp_path).items())


def best_of(trainer):
    """The path of the run's best checkpoint."""
    return Path(next(one for one in trainer.checkpoint_callbacks if type(one) is BestCheckpoint).best_model_path)


class Replace(Callback):
    """Another run writes its checkpoint where this run's best one is."""

    def __init__(self, source):
        self.source = source

    def on_train_end(self, trainer, *_):
        best_of(trainer).write_bytes(Path(self.source).read_bytes())


@pytest.mark.parametrize("change", ["run", "step", "loss"])
def test_another_checkpoint_in_the_place_of_the_best_one_is_not_exported(
    tmp_path, compose_run, text_file, caplog, change
):
    common = (f"data.path={text_file}", *THREE_EPOCHS)
    train(compose_run(*common, f"output_dir={tmp_path / 'other'}", "seed=1"))
    other = next((tmp_path / "other" / "checkpoints").glob("step*.ckpt"))
    run = spoilt(compose_run(*common), 2, 1000.0)
    run.callbacks["replace"] = {"_target_": f"{__name__}.Replace", "source": str(other)}
    if change != "run":
        run.callbacks["replace"] = {"_target_": f"{__name__}.Change", "name": change}
    train(run)
    assert "step44.ckpt was replaced: it is of" in caplog.text
    assert "the weights in memory are exported instead" in caplog.text
    last = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt").weights
    assert all(torch.equal(torch.as_tensor(weight), last[name]) for name, weight in exported(tmp_path).items())


class Change(Callback):
    """The best checkpoint becomes one of another step, or of another loss, of the same run."""

    def __init__(self, name):
        self.name = name

    def on_train_end(self, trainer, *_):
        key, value = ("steps", 43) if self.name == "step" else ("val_loss", 1.5)
        edited(best_of(trainer), lambda content: content["lai"]["training"].update({key: value}))


def test_a_resumed_run_keeps_the_name_of_its_run(tmp_path, compose_run, stopped, text_file):
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    before = read_checkpoint(last).run
    train(compose_run(*stopped))
    assert read_checkpoint(last).run == before
    train(compose_run(f"data.path={text_file}", "trainer.max_steps=1"))
    assert read_checkpoint(last).run not in (before, "")
