"""Ctrl-C and SIGTERM in whole runs: where they stop, and that resuming loses nothing."""

import math
import os
import pty
import signal
import subprocess
import sys
import time

import pytest
import torch
from processes import lai_train, python, start_lai_train
from runs import TINY, rows_of
from toy_callbacks import with_callback

from lai.export.lai_file import read_model
from lai.host.errors import Interrupted
from lai.train import train

WORKER = "device.num_workers=1"  # a process that makes the batches, some of them before they are asked for


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
    stopped.callbacks["signal_at"] = {"_target_": "toy_callbacks.SignalAt", **signal_at}
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
    run.callbacks["signal_at"] = {"_target_": "toy_callbacks.SignalAt", "batch": 15}
    with pytest.raises(KeyboardInterrupt):
        train(run)
    checkpoints = (tmp_path / "run" / "checkpoints").iterdir()
    steps = {path.name: torch.load(path, weights_only=True)["global_step"] for path in checkpoints}
    assert steps == {"step11.ckpt": 11, "last.ckpt": 15}


def test_signal_stops_a_run_that_validates_after_every_batch(tmp_path, compose_run, text_file):
    run = compose_run(f"data.path={text_file}", "trainer.val_check_interval=1")
    run.callbacks["signal_at"] = {"_target_": "toy_callbacks.SignalAt", "batch": 3}
    with pytest.raises(KeyboardInterrupt):
        train(run)
    # A run resumed from step 4 would not do its validation, so the state of the validation before it is kept.
    assert torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["global_step"] == 3


def test_a_signal_in_the_last_validation_changes_nothing(tmp_path, compose_run, text_file):
    run = compose_run(f"data.path={text_file}", "trainer.max_epochs=1")
    run.callbacks["signal_at"] = {"_target_": "toy_callbacks.SignalAt", "validation": 1}
    assert math.isfinite(train(run))
    assert (tmp_path / "model.bin").is_file()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_each_signal_saves_the_state_and_gives_the_handlers_back(tmp_path, compose_run, text_file, caplog, number):
    before = {each: signal.getsignal(each) for each in signal.valid_signals()}
    run = with_callback(
        compose_run(f"data.path={text_file}", "trainer.accumulate_grad_batches=2"),
        "toy_callbacks.SignalInStep",
        batch=5,
        number=int(number),
        times=3,
    )
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    with caplog.at_level("INFO", logger="lai"), pytest.raises(Interrupted) as stopped:
        train(run)
    assert stopped.value.status == 128 + number
    assert f"stopped at step 3; resume with ckpt_path={last}" in caplog.text
    assert torch.load(last, weights_only=True)["global_step"] == 3
    assert before == {each: signal.getsignal(each) for each in signal.valid_signals()}


def test_a_second_ctrl_c_inside_a_step_saves_nothing_torn(tmp_path, compose_run, text_file, monkeypatch, caplog):
    monkeypatch.setattr("lai.host.signals._PAUSE", 0)
    run = compose_run(f"data.path={text_file}", "trainer.val_check_interval=11")
    with caplog.at_level("INFO", logger="lai"), pytest.raises(Interrupted) as stopped:
        train(with_callback(run, "toy_callbacks.SignalInStep", batch=15, number=int(signal.SIGINT), times=2))
    assert stopped.value.status == 130
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == 11
    assert f"stopped at step 14; resume from step 11 with ckpt_path={last}" in caplog.text
    assert not [*last.parent.glob(".*")]


@pytest.mark.slow
def test_a_signal_ends_a_whole_sweep(tmp_path, text_file):
    end = "+callbacks.end={_target_:toy_callbacks.SignalInStep,batch:3,number:15}"
    run = [*TINY, f"data.path={text_file}", "hydra.sweep.dir=sweep", end]
    found = python("-m", "lai.train", "-m", *run, "seed=0,1", cwd=tmp_path, PYTHONPATH=os.pathsep.join(sys.path))
    assert (found.returncode, found.stderr) == (143, "interrupted\n")
    assert (tmp_path / "sweep/0/checkpoints/last.ckpt").is_file()
    assert not (tmp_path / "sweep/1").exists()


def test_a_signal_while_data_are_prepared_ends_the_run_with_its_status(tmp_path, compose_run, text_file, monkeypatch):
    monkeypatch.setattr("lai.data.prepare.prepare_corpus", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted) as stopped:
        train(compose_run(f"data.path={text_file}"))
    assert stopped.value.status == 143


def test_a_signal_in_the_export_leaves_a_run_that_exports_when_started_again(
    tmp_path, compose_run, text_file, monkeypatch
):
    monkeypatch.setattr("lai.callbacks.export.export_model", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    common = (f"data.path={text_file}", "trainer.max_steps=3")
    with pytest.raises(Interrupted) as stopped:
        train(compose_run(*common))
    assert stopped.value.status == 143
    assert not (tmp_path / "model.bin").exists()
    monkeypatch.undo()
    train(compose_run(*common, f"ckpt_path={tmp_path / 'run/checkpoints/last.ckpt'}"))
    assert (tmp_path / "model.bin").is_file()


@pytest.mark.slow
def test_a_closed_terminal_leaves_a_checkpoint_of_the_last_step(tmp_path, text_file):
    arguments = [*TINY, f"data.path={text_file}", "trainer.max_epochs=100000", "hydra.run.dir=run", WORKER]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.execv(sys.executable, [sys.executable, "-m", "lai.train", *arguments])
    log = tmp_path / "run" / "train.log"
    while not (log.is_file() and " epoch 2 " in log.read_text()):
        os.read(terminal, 1 << 16)  # a program waits where nobody reads
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 129
    assert "stopped at step" in log.read_text() and "resume with ckpt_path=" in log.read_text()
    assert torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["global_step"] >= 22


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
def test_signal_leaves_a_checkpoint_to_resume_from(tmp_path, text_file, number, status):
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


@pytest.mark.heavy
def test_a_signal_to_one_of_two_processes_stops_both(tmp_path, text_file):
    run = [*TINY, f"data.path={text_file}", "trainer.devices=2", "trainer.strategy=ddp"]
    status, _, screen = signalled(tmp_path, signal.SIGTERM, *run, OMP_NUM_THREADS="1")
    assert status == 143
    (checkpoint,) = tmp_path.glob("outputs/*-*-*/*-*-*/checkpoints/last.ckpt")
    assert screen.count(str(checkpoint)) == 1  # the first process speaks for both
