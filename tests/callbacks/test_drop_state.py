"""checkpoint.keep: how long the optimizer's state is kept, and what a run without it can still do."""

import pytest
import torch
from runs import content_of
from toy_callbacks import with_callback

from lai.host.errors import UserError
from lai.train import train

RESUME = ("checkpoint.keep=resume", "trainer.max_epochs=2")


def moments(folder):
    """How many parameters each checkpoint of a run has the optimizer's state of."""
    states = {path.name: torch.load(path, weights_only=True) for path in (folder / "checkpoints").iterdir()}
    return {name: len(state["optimizer_states"][0]["state"]) for name, state in states.items()}


def test_a_finished_run_drops_the_optimizer_state_and_exports_its_best_again(tmp_path, compose_run, text_file, caplog):
    common = (f"data.path={text_file}", *RESUME)
    with caplog.at_level("INFO", logger="lai"):
        train(compose_run(*common))
    assert moments(tmp_path / "run") == {"last.ckpt": 0, "step44.ckpt": 0}
    assert "is dropped; checkpoint.keep=all keeps it" in caplog.text
    expected = content_of(tmp_path / "model.bin")
    (tmp_path / "model.bin").unlink()
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    train(compose_run(*common, f"ckpt_path={last}"))
    assert content_of(tmp_path / "model.bin") == expected


def test_a_finished_run_without_its_optimizer_state_is_not_trained_longer(tmp_path, compose_run, text_file):
    train(compose_run(f"data.path={text_file}", *RESUME))
    checkpoints = tmp_path / "run" / "checkpoints"
    before = {path.name: path.read_bytes() for path in checkpoints.iterdir()}
    for name in before:
        longer = compose_run(
            f"data.path={text_file}", *RESUME, "trainer.max_epochs=3", f"ckpt_path={checkpoints / name}"
        )
        with pytest.raises(UserError, match=r"has no optimizer state.*checkpoint\.keep=all keeps it"):
            train(longer)
    assert {path.name: path.read_bytes() for path in checkpoints.iterdir()} == before


def test_all_checkpoints_of_a_run_that_keeps_all_have_the_optimizer_state(tmp_path, compose_run, text_file):
    train(compose_run(f"data.path={text_file}", "checkpoint.keep=all", "trainer.max_epochs=1"))
    assert all(moments(tmp_path / "run").values())


def test_an_unfinished_run_has_the_optimizer_state_in_last_ckpt_only(tmp_path, compose_run, text_file):
    failing = with_callback(compose_run(f"data.path={text_file}", *RESUME), "toy_callbacks.FailAt", batch=30)
    with pytest.raises(RuntimeError, match="the step fails"):
        train(failing)
    found = moments(tmp_path / "run")
    assert found.pop("last.ckpt") and found == {"step22.ckpt": 0}


def test_a_run_that_early_stopping_ends_keeps_what_training_on_needs(tmp_path, compose_run, text_file):
    run = compose_run(f"data.path={text_file}", "checkpoint.keep=resume", "trainer.max_epochs=9")
    stopping = {"monitor": "val/loss", "stopping_threshold": 1000.0}
    train(with_callback(run, "lightning.pytorch.callbacks.EarlyStopping", **stopping))
    assert moments(tmp_path / "run")["last.ckpt"]


def test_a_run_that_keeps_the_best_only_writes_no_last_checkpoint(tmp_path, compose_run, text_file, caplog):
    with caplog.at_level("INFO", logger="lai"):
        train(compose_run(f"data.path={text_file}", "checkpoint.keep=best", "trainer.max_epochs=1"))
    assert moments(tmp_path / "run") == {"step22.ckpt": 0}
    assert caplog.text.count("the run cannot be resumed") == 1


def test_the_best_only_and_resuming_by_itself_exclude_each_other(compose_run):
    with pytest.raises(UserError, match=r"resume=auto needs last\.ckpt"):
        compose_run("checkpoint.keep=best", "resume=auto")


def test_a_state_that_cannot_be_dropped_stays(tmp_path, compose_run, text_file, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lai.export.optimizer_state.write_plain", full)
    train(compose_run(f"data.path={text_file}", "checkpoint.keep=resume", "trainer.max_epochs=1"))
    assert moments(tmp_path / "run")["last.ckpt"]
    assert "keeps the optimizer's state: [Errno 28] No space left on device" in caplog.text
