"""last.ckpt is the newest state of a run, not the best."""

import math

import pytest
import torch
from runs import rows_of
from toy_callbacks import THREE_EPOCHS, exported, spoilt, with_callback

from lai.train import train


def test_last_checkpoint_is_of_the_last_step_when_the_loss_rises(tmp_path, compose_run, text_file):
    train(spoilt(compose_run(f"data.path={text_file}", *THREE_EPOCHS), 2, 1000.0))
    checkpoints = (tmp_path / "run" / "checkpoints").iterdir()
    steps = {path.name: torch.load(path, weights_only=True)["global_step"] for path in checkpoints}
    assert steps == {"step44.ckpt": 44, "last.ckpt": 66}


def test_without_validation_the_last_checkpoint_is_of_the_last_epoch(tmp_path, compose_run, text_file):
    train(compose_run(f"data.path={text_file}", "trainer.max_epochs=2", "trainer.limit_val_batches=0"))
    assert torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["global_step"] == 44


@pytest.mark.parametrize(
    ("batch", "step", "overrides"),
    [
        (12, 11, ()),  # the validation of step 11 has saved it
        (12, 5, ("trainer.accumulate_grad_batches=2",)),  # in the step whose first batch is validated
        (23, 22, ("device.num_workers=1",)),
        (18, 8, ("trainer.accumulate_grad_batches=2", "optimizer=muon")),  # inside a step
        (30, 29, ("trainer.check_val_every_n_epoch=null", "trainer.val_check_interval=10")),
    ],
    ids=str,
)
def test_a_run_that_saves_by_time_loses_one_step_and_resumes_exactly(
    tmp_path, compose_run, text_file, monkeypatch, batch, step, overrides
):
    monkeypatch.setattr("lai.callbacks.last_checkpoint._SHARE", math.inf)  # after each step, however long it takes
    common = (f"data.path={text_file}", "trainer.max_epochs=2", "trainer.val_check_interval=11", *overrides)
    expected = train(compose_run(*common, f"output_dir={tmp_path / 'whole'}", "checkpoint.minutes=null"))
    weights = exported(tmp_path)
    failing = compose_run(*common, f"output_dir={tmp_path / 'failing'}", "checkpoint.minutes=1e-9")
    with pytest.raises(RuntimeError, match="the step fails"):
        train(with_callback(failing, "toy_callbacks.FailAt", batch=batch))
    last = tmp_path / "failing" / "checkpoints" / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == step
    assert train(compose_run(*common, f"output_dir={tmp_path / 'resumed'}", f"ckpt_path={last}")) == expected
    found = exported(tmp_path)
    assert all(torch.equal(torch.as_tensor(found[name]), torch.as_tensor(weights[name])) for name in weights)
    whole, *parts = (rows_of(tmp_path / folder, "val/loss") for folder in ("whole", "failing", "resumed"))
    assert dict(whole) == dict(parts[0]) | dict(parts[1])  # one inside a step is done again


@pytest.mark.parametrize("minutes", ["0", "null", "5"])
def test_a_short_run_is_not_saved_between_its_validations(tmp_path, compose_run, text_file, minutes):
    run = compose_run(f"data.path={text_file}", f"checkpoint.minutes={minutes}")
    with pytest.raises(RuntimeError, match="the step fails"):
        train(with_callback(run, "toy_callbacks.FailAt", batch=5))
    assert not (tmp_path / "run" / "checkpoints" / "last.ckpt").exists()


def test_weights_that_are_not_finite_are_never_saved(tmp_path, compose_run, text_file, caplog):
    run = compose_run(f"data.path={text_file}", "trainer.limit_val_batches=0", "trainer.max_epochs=2")
    with caplog.at_level("WARNING", logger="lai"), pytest.raises(ValueError, match="not finite"):
        train(spoilt(run, 1, math.nan))
    saved = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    assert saved["global_step"] == 22
    assert all(bool(weight.isfinite().all()) for weight in saved["state_dict"].values())
