"""Steps that are not finite are skipped; a run that diverges ends, and keeps its last good checkpoint."""

import math
import os
import sys

import pytest
import torch
from processes import lai_train
from runs import TINY, rows_of
from toy_callbacks import THREE_EPOCHS, BadLoss, exported, spoilt, with_callback

from lai.callbacks.divergence import StopOnDivergence
from lai.export.checkpoint import read_checkpoint
from lai.host.errors import UserError
from lai.train import train


def test_a_run_that_diverges_keeps_its_last_good_checkpoint(tmp_path, compose_run, text_file):
    run = spoilt(compose_run(f"data.path={text_file}", "max_bad_steps=1000", *THREE_EPOCHS), 1, math.nan)
    with pytest.raises(UserError, match=r"diverged.*step22\.ckpt"):
        train(run)
    for name in ("last", "step22"):
        weights = read_checkpoint(tmp_path / "run" / "checkpoints" / f"{name}.ckpt").weights
        assert all(bool(weight.isfinite().all()) for weight in weights.values())


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(
    "overrides", [(), ("optimizer=muon",), ("trainer.accumulate_grad_batches=2",)], ids=["adamw", "muon", "accumulated"]
)
def test_a_step_that_is_not_finite_changes_nothing_and_is_counted(
    tmp_path, compose_run, text_file, monkeypatch, caplog, value, overrides
):
    made = []
    monkeypatch.setattr(BadLoss, "setup", lambda self, *_, **__: made.append(self))
    common = (f"data.path={text_file}", "trainer.log_every_n_steps=1", "trainer.max_epochs=1", *overrides)
    run = with_callback(compose_run(*common), "toy_callbacks.BadLoss", batches=[4, 8], value=value)
    with caplog.at_level("WARNING", logger="lai"):
        assert math.isfinite(train(run))
    before, after = made[0].before, made[0].after
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    steps = [2, 4] if "trainer.accumulate_grad_batches=2" in overrides else [4, 8]
    counts = rows_of(tmp_path / "run", "train/skipped_steps")
    assert counts[0] == (steps[0], 1) and (steps[1], 2) in counts
    assert f"step {steps[0]} is not finite: the step is skipped, as the first of the run" in caplog.text
    rates = rows_of(tmp_path / "run", "train/lr")
    train(compose_run(*common, f"output_dir={tmp_path / 'good'}"))
    assert rates == rows_of(tmp_path / "good", "train/lr")  # the schedule goes by the steps of the run


def test_many_bad_steps_in_a_row_end_the_run_and_keep_the_last_good_state(tmp_path, compose_run, text_file):
    run = compose_run(f"data.path={text_file}", "max_bad_steps=3", "trainer.val_check_interval=11")
    bad = [4, 5, 7, 8, 14, 15, 16, 17]  # twice two before three in a row
    with pytest.raises(UserError, match=r"3 steps in a row, up to step 16, .*bad_batch\.pt.*ckpt_path=.*last\.ckpt"):
        train(with_callback(run, "toy_callbacks.BadLoss", batches=bad))
    assert torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["global_step"] == 11
    saved = torch.load(tmp_path / "run/bad_batch.pt", weights_only=True)
    assert saved["step"] == 16
    assert [sorted(batch) for batch in saved["batches"]] == [["documents", "targets", "tokens"]]


def test_the_number_of_skipped_steps_outlives_a_resumed_run(tmp_path, compose_run, text_file):
    common = (f"data.path={text_file}", "trainer.log_every_n_steps=1")
    train(with_callback(compose_run(*common, "trainer.max_steps=5"), "toy_callbacks.BadLoss", batches=[2]))
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    resumed = compose_run(*common, "trainer.max_steps=9", f"ckpt_path={last}", f"output_dir={tmp_path / 'resumed'}")
    train(with_callback(resumed, "toy_callbacks.BadLoss", batches=[3]))
    assert rows_of(tmp_path / "resumed", "train/skipped_steps") == [(6, 1), (7, 1), (8, 2), (9, 2)]


SPIKE = ("trainer.max_epochs=5", "trainer.check_val_every_n_epoch=1", "trainer.log_every_n_steps=1")


def test_a_spike_is_skipped_by_choice_and_by_a_resumed_run_too(tmp_path, compose_run, text_file, monkeypatch, caplog):
    made = []
    monkeypatch.setattr(BadLoss, "setup", lambda self, *_, **__: made.append(self))
    common = (f"data.path={text_file}", "skip_spikes=true", *SPIKE)
    spike = {"path": "toy_callbacks.BadLoss", "value": 50.0}
    with caplog.at_level("WARNING", logger="lai"):
        train(with_callback(compose_run(*common), batches=[105], **spike))
    before, after = made[0].before, made[0].after
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert rows_of(tmp_path / "run", "train/skipped_steps") == [(step, 1) for step in range(105, 111)]
    assert "the loss of step 105 is a spike, over 6 deviations above the last 100: the step is skipped" in caplog.text
    weights = exported(tmp_path)
    stopped = with_callback(
        compose_run(*common, f"output_dir={tmp_path / 'stopped'}"), "toy_callbacks.FailAt", batch=95
    )
    with pytest.raises(RuntimeError, match="the step fails"):
        train(stopped)
    last = tmp_path / "stopped" / "checkpoints" / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == 88
    resumed = compose_run(*common, f"output_dir={tmp_path / 'resumed'}", f"ckpt_path={last}")
    train(with_callback(resumed, batches=[105 - 88], **spike))
    found = exported(tmp_path)
    assert all(torch.equal(torch.as_tensor(found[name]), torch.as_tensor(weights[name])) for name in weights)


def test_a_spike_is_trained_on_unless_a_run_says_otherwise(tmp_path, compose_run, text_file):
    run = compose_run(f"data.path={text_file}", *SPIKE)
    train(with_callback(run, "toy_callbacks.BadLoss", batches=[105], value=50.0))
    assert "skipped_steps" not in (tmp_path / "run" / "metrics.csv").read_text()


def test_many_spikes_in_a_row_end_the_run(tmp_path, compose_run, text_file):
    run = compose_run(f"data.path={text_file}", "skip_spikes=true", "max_bad_steps=2", *SPIKE)
    with pytest.raises(UserError, match=r"2 steps in a row, up to step 106, .* loss spike; .*bad_batch\.pt"):
        train(with_callback(run, "toy_callbacks.BadLoss", batches=[105, 106], value=50.0))


def test_a_state_of_another_kind_is_one_line():
    for state in ({"skipped": -1}, {"skipped": 1, "losses": torch.zeros(7)}, {"skipped": 1, "losses": [1.0]}):
        with pytest.raises(
            UserError, match=r"the checkpoint cannot be resumed: callbacks\.SkippedSteps\.(skipped|losses) "
        ):
            StopOnDivergence().load_state_dict(state)


def test_weights_that_are_not_finite_are_not_exported(tmp_path, compose_run, text_file):
    run = compose_run(f"data.path={text_file}", "trainer.limit_val_batches=0", "trainer.max_epochs=1")
    with pytest.raises(UserError, match=r"model\.bin is not written: weights of final_norm"):
        train(with_callback(run, "toy_callbacks.SpoilAtEnd"))
    assert not (tmp_path / "model.bin").exists()


@pytest.mark.parametrize(("limit", "status"), [(10, 0), (2, 2)])
@pytest.mark.heavy
def test_all_processes_skip_a_step_that_is_bad_in_one_of_them(tmp_path, text_file, limit, status):
    bad = "+callbacks.bad={_target_:toy_callbacks.BadLoss,batches:[3,4,7],rank:1}"
    run = [*TINY, f"data.path={text_file}", "trainer.devices=2", "trainer.strategy=ddp", "trainer.max_epochs=1", bad]
    more = ["trainer.log_every_n_steps=1", "hydra.run.dir=run", f"max_bad_steps={limit}", "export.path=model.bin"]
    paths = os.pathsep.join(sys.path)
    done = lai_train(*run, *more, cwd=tmp_path, PYTHONPATH=paths, OMP_NUM_THREADS="1")
    assert done.returncode == status, done.stderr
    counts = rows_of(tmp_path / "run", "train/skipped_steps")
    if status == 0:
        assert [pair for pair in counts if pair[0] in (3, 4, 7)] == [(3, 1), (4, 2), (7, 3)]
    else:
        assert done.stderr.startswith("error: 2 steps in a row, up to step 4, ")
        assert sorted(path.name for path in (tmp_path / "run").glob("bad_batch*")) == [
            "bad_batch-0.pt",
            "bad_batch-1.pt",
        ]


@pytest.mark.heavy
def test_all_processes_skip_a_spike_that_is_in_one_of_them(tmp_path, text_file):
    bad = "+callbacks.bad={_target_:toy_callbacks.BadLoss,batches:[104,106],rank:1,value:50.0}"
    run = [*TINY, f"data.path={text_file}", "trainer.devices=2", "trainer.strategy=ddp", "trainer.max_steps=108", bad]
    more = ["trainer.log_every_n_steps=1", "hydra.run.dir=run", "export.path=model.bin", "skip_spikes=true"]
    paths = os.pathsep.join(sys.path)
    done = lai_train(*run, *more, "trainer.max_epochs=-1", cwd=tmp_path, PYTHONPATH=paths, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    counts = rows_of(tmp_path / "run", "train/skipped_steps")
    assert counts == [(104, 1), (105, 1), (106, 2), (107, 2), (108, 2)]
