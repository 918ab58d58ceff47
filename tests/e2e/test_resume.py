"""Whole runs that are stopped, go on, or spoil their weights: what each does then, and what it hands over."""

import math
import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from processes import lai_train, start_lai_train
from runs import TINY, rows_of

from lai.callbacks.stop import StopBetweenBatches
from lai.export.checkpoint import read_checkpoint
from lai.export.lai_file import read_model
from lai.host.errors import UserError
from lai.train import train

WORKER = "device.num_workers=1"  # a process that makes the batches, some of them before they are asked for


@pytest.mark.parametrize(
    ("steps", "overrides"),
    [(13, ()), (13, (WORKER,)), (22, ()), (22, (WORKER,)), (31, ("optimizer=muon",))],
    ids=["inside an epoch", "inside, with a worker", "at its end", "at its end, with a worker", "later"],
)
def test_a_resumed_run_does_exactly_what_an_uninterrupted_one_does(tmp_path, compose_run, text_file, steps, overrides):
    common = (f"data.path={text_file}", "trainer.max_epochs=3", *overrides)
    whole = compose_run(*common)
    whole.callbacks["every_step"] = {
        "_target_": "lightning.pytorch.callbacks.ModelCheckpoint",
        "dirpath": str(tmp_path / "steps"),
        "filename": "{step}",
        "every_n_train_steps": 1,
        "save_top_k": -1,
        "save_on_train_epoch_end": False,
    }
    expected = train(whole)
    assert torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["global_step"] == 3 * 22
    (tmp_path / "run").rename(tmp_path / "whole")
    resumed = compose_run(*common, f"ckpt_path={tmp_path / 'steps' / f'step={steps}.ckpt'}".replace("step=", "step\\="))
    assert train(resumed) == expected
    assert torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["global_step"] == 3 * 22


class SignalAt(Callback):
    """Does what a signal does, at the start of the training batch or of the validation with this number, from 1."""

    def __init__(self, batch=None, validation=None):
        self.batch, self.validation = batch, validation
        self.batches = self.validations = 0

    def on_train_batch_start(self, trainer, *_):
        self.batches += 1
        if self.batches == self.batch:
            self._signal(trainer)

    def on_validation_start(self, trainer, *_):
        self.validations += 1
        if self.validations == self.validation:
            self._signal(trainer)

    def _signal(self, trainer):
        next(callback for callback in trainer.callbacks if isinstance(callback, StopBetweenBatches)).received = 2


@pytest.mark.parametrize(
    ("signal_at", "overrides"),
    [
        ({"batch": 5}, ("trainer.accumulate_grad_batches=2",)),  # half a step's gradients are there
        ({"batch": 11}, ()),  # a validation follows it
        ({"batch": 30}, ("trainer.check_val_every_n_epoch=null", "trainer.val_check_interval=10")),
        ({"validation": 1}, ()),
        ({"validation": 2}, ()),  # the last of an epoch
        ({"validation": 2}, (WORKER,)),
    ],
    ids=str,
)
def test_a_stopped_and_resumed_run_does_exactly_what_an_uninterrupted_one_does(
    tmp_path, compose_run, text_file, signal_at, overrides
):
    common = (f"data.path={text_file}", "trainer.max_epochs=2", "trainer.val_check_interval=11", *overrides)
    folders = {name: tmp_path / name for name in ("whole", "stopped", "resumed")}
    expected = train(compose_run(*common, f"output_dir={folders['whole']}"))
    weights = read_model(tmp_path / "model.bin").weights
    stopped = compose_run(*common, f"output_dir={folders['stopped']}")
    stopped.callbacks["signal_at"] = {"_target_": f"{__name__}.SignalAt", **signal_at}
    with pytest.raises(KeyboardInterrupt):
        train(stopped)
    checkpoint = folders["stopped"] / "checkpoints" / "last.ckpt"
    assert train(compose_run(*common, f"output_dir={folders['resumed']}", f"ckpt_path={checkpoint}")) == expected
    whole, *parts = (rows_of(folder, "val/loss") for folder in folders.values())
    assert whole == parts[0] + parts[1]
    found = read_model(tmp_path / "model.bin").weights
    assert all(torch.equal(found[name], weights[name]) for name in weights)


def test_a_stop_leaves_the_best_checkpoint_and_the_last(tmp_path, compose_run, text_file):
    run = compose_run(f"data.path={text_file}", "trainer.val_check_interval=11")
    run.callbacks["signal_at"] = {"_target_": f"{__name__}.SignalAt", "batch": 15}
    with pytest.raises(KeyboardInterrupt):
        train(run)
    checkpoints = (tmp_path / "run" / "checkpoints").iterdir()
    steps = {path.name: torch.load(path, weights_only=True)["global_step"] for path in checkpoints}
    assert steps == {"step11.ckpt": 11, "last.ckpt": 15}


def test_a_signal_is_heeded_where_every_batch_is_followed_by_a_validation(tmp_path, compose_run, text_file):
    run = compose_run(f"data.path={text_file}", "trainer.val_check_interval=1")
    run.callbacks["signal_at"] = {"_target_": f"{__name__}.SignalAt", "batch": 3}
    with pytest.raises(KeyboardInterrupt):
        train(run)
    assert torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["global_step"] == 4


def test_a_signal_in_the_last_validation_changes_nothing(tmp_path, compose_run, text_file):
    run = compose_run(f"data.path={text_file}", "trainer.max_epochs=1")
    run.callbacks["signal_at"] = {"_target_": f"{__name__}.SignalAt", "validation": 1}
    assert math.isfinite(train(run))
    assert (tmp_path / "model.bin").is_file()


class Spoil(Callback):
    """Multiplies a norm's weights when this epoch begins, from 0."""

    def __init__(self, epoch, factor):
        self.epoch, self.factor = epoch, factor

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            with torch.no_grad():
                pl_module.model.final_norm.weight.mul_(self.factor)


def spoilt(run, epoch, factor):
    """The run, whose loss rises in this epoch."""
    run.callbacks["spoil"] = {"_target_": f"{__name__}.Spoil", "epoch": epoch, "factor": factor}
    return run


THREE_EPOCHS = ("trainer.max_epochs=3", "trainer.check_val_every_n_epoch=1")


def test_the_last_checkpoint_is_the_last_though_the_loss_rises(tmp_path, compose_run, text_file):
    train(spoilt(compose_run(f"data.path={text_file}", *THREE_EPOCHS), 2, 1000.0))
    checkpoints = (tmp_path / "run" / "checkpoints").iterdir()
    steps = {path.name: torch.load(path, weights_only=True)["global_step"] for path in checkpoints}
    assert steps == {"step44.ckpt": 44, "last.ckpt": 66}


def test_without_validation_the_last_checkpoint_is_of_the_last_epoch(tmp_path, compose_run, text_file):
    train(compose_run(f"data.path={text_file}", "trainer.max_epochs=2", "trainer.limit_val_batches=0"))
    assert torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["global_step"] == 44


def test_a_resumed_run_hands_over_the_best_weights_from_before(tmp_path, compose_run, text_file, caplog):
    common = (f"data.path={text_file}", *THREE_EPOCHS)
    first = spoilt(compose_run(*common), 2, 1000.0)
    first.callbacks["signal_at"] = {"_target_": f"{__name__}.SignalAt", "batch": 22 * 2 + 3}
    with pytest.raises(KeyboardInterrupt):
        train(first)
    before = min(loss for _, loss in rows_of(tmp_path / "run", "val/loss"))
    checkpoints = tmp_path / "run" / "checkpoints"
    callbacks = torch.load(checkpoints / "last.ckpt", weights_only=True)["callbacks"]
    best = next(
        Path(state["best_model_path"]) for name, state in callbacks.items() if name.startswith("ModelCheckpoint")
    )
    resumed = compose_run(*common, f"ckpt_path={checkpoints / 'last.ckpt'}", f"output_dir={tmp_path / 'resumed'}")
    loss = train(resumed)
    ((_, after),) = rows_of(tmp_path / "resumed", "val/loss")
    assert after > before and loss == pytest.approx(before, abs=1e-5)
    weights = read_checkpoint(best).weights
    exported = read_model(tmp_path / "model.bin").weights
    assert all(torch.equal(exported[name], weights[name]) for name in exported)
    best.unlink()
    with caplog.at_level("INFO"):
        assert train(resumed) == pytest.approx(after, abs=1e-5)
    assert "no longer exists" in caplog.text


class RemoveBest(Callback):
    """Somebody tidies up before the run has ended."""

    def on_train_end(self, trainer, *_):
        Path(trainer.checkpoint_callback.best_model_path).unlink()


def test_the_last_weights_are_handed_over_where_the_best_are_gone(tmp_path, compose_run, text_file, caplog):
    run = spoilt(compose_run(f"data.path={text_file}", *THREE_EPOCHS), 2, 1000.0)
    run.callbacks["remove"] = {"_target_": f"{__name__}.RemoveBest"}
    with caplog.at_level("INFO"):
        loss = train(run)
    assert re.search(r"no longer exists: \S+/step44\.ckpt", caplog.text)
    assert loss == pytest.approx(rows_of(tmp_path / "run", "val/loss")[-1][1], abs=1e-5)


@pytest.mark.parametrize("folder", ["run", "other"])
def test_weights_from_before_another_text_are_not_handed_over(tmp_path, compose_run, text_file, caplog, folder):
    stop = [f"+callbacks.stop.{key}" for key in ("monitor=val/loss", "patience=1")]
    stop.append("+callbacks.stop._target_=lightning.pytorch.callbacks.EarlyStopping")
    before = train(compose_run(f"data.path={text_file}", "trainer.max_epochs=3", *stop))
    (tmp_path / "model.bin").rename(tmp_path / "before.bin")
    other = tmp_path / "other.txt"
    letters = random.Random(0)
    other.write_text("".join("".join(letters.choices("abcdefghij", k=40)) + "\n" for _ in range(300)))
    resumed = compose_run(
        f"data.path={other}",
        f"data.vocab_path={tmp_path / 'before.bin'}",
        "trainer.max_epochs=6",
        "data.batch_size=5",
        f"ckpt_path={tmp_path / 'run' / 'checkpoints' / 'last.ckpt'}",
        f"output_dir={tmp_path / folder}",
        *stop,
    )
    with caplog.at_level("INFO"):
        after = train(resumed)
    for kind in ("training", "validation"):
        assert f"the {kind} documents are not the checkpoint's" in caplog.text
    assert "data.batch_size is 5, but 4 in the checkpoint" in caplog.text
    losses = [loss for _, loss in rows_of(tmp_path / folder, "val/loss")]
    assert len(losses) == 3  # and not stopped because the first is higher than before
    assert after == pytest.approx(min(losses), abs=1e-5)
    assert after > before
    weights = [read_model(tmp_path / name).weights for name in ("before.bin", "model.bin")]
    assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize("override", ["callbacks.checkpoint=null", "callbacks.checkpoint.monitor=val/bpb"])
def test_without_a_best_checkpoint_the_loss_is_that_of_the_last_weights(tmp_path, compose_run, text_file, override):
    loss = train(spoilt(compose_run(f"data.path={text_file}", *THREE_EPOCHS, override), 2, 1000.0))
    losses = [loss for _, loss in rows_of(tmp_path / "run", "val/loss")]
    assert min(losses) < losses[-1] == pytest.approx(loss, abs=1e-5)


def test_a_run_that_diverges_keeps_its_last_good_checkpoint(tmp_path, compose_run, text_file):
    run = spoilt(compose_run(f"data.path={text_file}", *THREE_EPOCHS), 1, math.nan)
    with pytest.raises(UserError, match=r"diverged.*step22\.ckpt"):
        train(run)
    for name in ("last", "step22"):
        weights = read_checkpoint(tmp_path / "run" / "checkpoints" / f"{name}.ckpt").weights
        assert all(bool(weight.isfinite().all()) for weight in weights.values())


def test_a_resumed_run_says_what_of_the_checkpoint_it_keeps(tmp_path, compose_run, text_file, caplog):
    train(compose_run(f"data.path={text_file}", "trainer.max_steps=2", "optimizer.lr=1e-3"))
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    with caplog.at_level("INFO"):
        train(
            compose_run(f"data.path={text_file}", "trainer.max_steps=3", "optimizer.lr=1e-5", f"ckpt_path={checkpoint}")
        )
    assert "optimizer.lr stays 0.001, as in the checkpoint; 1e-05 is ignored" in caplog.text
    assert "embedding_lr" not in caplog.text.replace("optimizer.lr", "")


def rates(tmp_path):
    """The rate of each step, by the number of steps before it."""
    return {step - 1: rate for step, rate in rows_of(tmp_path / "run", "train/lr")}


@pytest.mark.parametrize(
    "overrides", [(), ("optimizer=muon", "schedule=cosine"), ("trainer.accumulate_grad_batches=5",)]
)
def test_a_finished_run_goes_on_with_the_rates_of_the_longer_one(tmp_path, compose_run, text_file, caplog, overrides):
    common = (f"data.path={text_file}", "trainer.log_every_n_steps=1", *overrides)
    train(compose_run(*common, "trainer.max_epochs=3"))
    whole = rates(tmp_path)
    train(compose_run(*common, "trainer.max_epochs=2"))
    begin = 2 * len(whole) // 3
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    with caplog.at_level("INFO", logger="lai"):
        train(compose_run(*common, "trainer.max_epochs=3", f"ckpt_path={last}"))
    assert f"resuming at step {begin} of {len(whole)}" in caplog.text
    resumed = rates(tmp_path)
    assert [*resumed] == [*range(begin, len(whole))]
    assert resumed == {step: whole[step] for step in resumed}


@pytest.mark.parametrize(
    ("steps", "overrides"),
    [
        (44, ("data.batch_size=20",)),
        (44, ("data.batch_size=2", "trainer.max_epochs=3")),
        (33, ("trainer.accumulate_grad_batches=4",)),  # inside an epoch
        (33, ("trainer.accumulate_grad_batches=4", "trainer.max_steps=1000")),
    ],
    ids=str,
)
def test_a_resumed_run_falls_to_the_end_of_its_schedule_and_not_before_it(
    tmp_path, compose_run, text_file, caplog, steps, overrides
):
    common = (f"data.path={text_file}", "trainer.log_every_n_steps=1")
    train(compose_run(*common, "trainer.max_epochs=2", f"trainer.max_steps={steps}"))
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    with caplog.at_level("INFO", logger="lai"):
        train(compose_run(*common, "trainer.max_epochs=5", f"ckpt_path={last}", *overrides))
    found = rates(tmp_path)
    total = max(found) + 1
    assert f"resuming at step {steps} of {total}" in caplog.text
    peak, warmup = 0.125 / 32, 0.02
    for step, rate in found.items():  # linear: what is left of the way from the warm-up to the end
        assert rate == pytest.approx(peak * (1 - ((step + 1) / (total + 1) - warmup) / (1 - warmup)), rel=1e-3)


def test_a_schedule_that_is_over_is_refused(tmp_path, compose_run, text_file):
    common = (f"data.path={text_file}", "trainer.max_epochs=-1", "trainer.max_time=00:00:01:00")
    train(compose_run(*common, "trainer.max_steps=2"))
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    (tmp_path / "model.bin").unlink()
    checkpoint = torch.load(last, weights_only=True)
    checkpoint["callbacks"]["Timer"]["time_elapsed"]["train"] = 61.0
    torch.save(checkpoint, last)
    # Without its steps, which have to be done, it would be refused because there is nothing left to train.
    with pytest.raises(UserError, match=r"rate is 0 from step 2 on.*trainer\.max_time"):
        train(compose_run(*common, "trainer.max_steps=9", "+trainer.min_steps=9", f"ckpt_path={last}"))
    assert not (tmp_path / "model.bin").exists()


def test_a_run_that_changes_no_weight_hands_over_no_model(tmp_path, compose_run, text_file):
    with pytest.raises(UserError, match=r"changed no weight.*optimizer\.lr"):
        train(
            compose_run(
                f"data.path={text_file}", "trainer.max_steps=3", "optimizer.lr=1e-30", "optimizer.embedding_lr=1e-30"
            )
        )
    assert not (tmp_path / "model.bin").exists()


def test_a_checkpoint_of_another_model_is_refused(tmp_path, compose_run, text_file):
    train(compose_run(f"data.path={text_file}", "trainer.max_steps=1"))
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    with pytest.raises(UserError, match=r"hidden_dim 64.*hidden_dim 96"):
        train(compose_run(f"data.path={text_file}", "model.hidden_dim=96", f"ckpt_path={checkpoint}"))
    with pytest.raises(UserError, match="optimizer is adamw, this run's is muon"):
        train(compose_run(f"data.path={text_file}", "optimizer=muon", f"ckpt_path={checkpoint}"))
    with pytest.raises(UserError, match="no such file"):
        train(compose_run(f"data.path={text_file}", "ckpt_path=no/such.ckpt"))
    with pytest.raises(UserError, match="nothing left to train"):
        train(compose_run(f"data.path={text_file}", "trainer.max_steps=1", f"ckpt_path={checkpoint}"))


def signalled(tmp_path, number, *arguments, group=False, **environment):
    """What a run without an end leaves that gets a signal in its third epoch: its status, its errors and its screen.

    Where a `group` is told, its workers get the signal, too, as by Ctrl-C at a terminal.
    """
    screen = tmp_path / "screen.txt"
    with screen.open("w") as output:
        program = start_lai_train(
            *arguments,
            "trainer.max_epochs=100000",
            cwd=tmp_path,
            environment=environment,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=group,
        )
        while "\nepoch 3 " not in screen.read_text():
            assert program.poll() is None, screen.read_text()
            time.sleep(0.1)
        (os.killpg if group else os.kill)(program.pid, number)
        _, error = program.communicate(timeout=120)
    return program.returncode, error.strip(), screen.read_text()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_a_checkpoint_to_go_on_from(tmp_path, text_file, number, status):
    run = [*TINY, f"data.path={text_file}", "schedule=constant", "trainer.accumulate_grad_batches=8", WORKER]
    ended, error, screen = signalled(tmp_path, number, *run, group=number == signal.SIGINT)
    assert (ended, error) == (status, "interrupted")
    (checkpoint,) = tmp_path.glob("outputs/*-*-*/*-*-*/checkpoints/last.ckpt")
    assert str(checkpoint) in screen
    assert not (tmp_path / "models").exists()
    if number == signal.SIGTERM:
        return  # what follows does not depend on the signal
    done = lai_train(*run, f"ckpt_path={checkpoint}", "trainer.max_epochs=10", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "epoch 2 " not in done.stdout


@pytest.mark.slow
def test_a_signal_to_one_of_two_processes_stops_both(tmp_path, text_file):
    run = [*TINY, f"data.path={text_file}", "trainer.devices=2", "trainer.strategy=ddp"]
    status, _, screen = signalled(tmp_path, signal.SIGTERM, *run, OMP_NUM_THREADS="1")
    assert status == 143
    (checkpoint,) = tmp_path.glob("outputs/*-*-*/*-*-*/checkpoints/last.ckpt")
    assert screen.count(str(checkpoint)) == 1  # the first process speaks for both
