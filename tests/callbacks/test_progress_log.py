"""The plain lines of progress: what they say, how often, and where they go."""

import logging
import math
import sys
from types import SimpleNamespace

import pytest
import torch

from lai.callbacks.progress_log import ProgressLog
from lai.model.module import LanguageModel


class Planned(LanguageModel):
    """A module of which only the number of steps is asked."""

    planned_steps = 2000

    def __init__(self):
        torch.nn.Module.__init__(self)


@pytest.fixture
def module():
    return Planned()


@pytest.fixture
def trainer():
    metrics = {"train/loss": torch.tensor(2.5), "train/tokens_per_second": torch.tensor(12345.6)}
    return SimpleNamespace(
        is_global_zero=True,
        current_epoch=0,
        global_step=1000,
        callback_metrics=metrics,
        state=SimpleNamespace(fn="fit"),
        sanity_checking=False,
    )


@pytest.fixture
def clock(monkeypatch):
    """Sets the time in seconds."""
    return lambda seconds: monkeypatch.setattr("time.monotonic", lambda: seconds)


def lines(caplog):
    return [record.getMessage() for record in caplog.records]


def test_a_line_is_written_every_so_many_seconds(caplog, clock, trainer, module):
    caplog.set_level(logging.DEBUG, "lai")
    clock(0.0)
    log = ProgressLog(every_seconds=15)
    log.on_train_start()
    for seconds in range(1, 61):
        clock(float(seconds))
        log.on_train_batch_end(trainer, module)
    assert [line.split("  ")[2] for line in lines(caplog)] == ["0:00:15", "0:00:30", "0:00:45", "0:01:00"]


def test_a_line_after_a_validation_has_the_losses_with_their_floors(caplog, clock, trainer, module):
    caplog.set_level(logging.DEBUG, "lai")
    trainer.callback_metrics |= {"val/loss": torch.tensor(1.25), "val/loss_floor": torch.tensor(1.0)}
    clock(0.0)
    log = ProgressLog()
    clock(61.0)
    log.on_validation_end(trainer, module)
    assert lines(caplog) == [
        "epoch 1  step 1,000/2,000  0:01:01  train/loss 2.500  val/loss 1.250 (floor 1.000)  12,346 tokens/s"
    ]


def test_a_run_without_a_last_step_tells_the_step_alone(caplog, monkeypatch, trainer, module):
    caplog.set_level(logging.DEBUG, "lai")
    monkeypatch.setattr(Planned, "planned_steps", math.inf)
    ProgressLog().on_validation_end(trainer, module)
    assert "  step 1,000  " in lines(caplog)[0]


@pytest.mark.parametrize("changes", [{"sanity_checking": True}, {"is_global_zero": False}])
def test_other_processes_and_sanity_checks_write_nothing(caplog, trainer, module, changes):
    caplog.set_level(logging.DEBUG, "lai")
    ProgressLog().on_validation_end(SimpleNamespace(**vars(trainer) | changes), module)
    assert lines(caplog) == []


@pytest.mark.parametrize(("is_terminal", "level"), [(True, logging.DEBUG), (False, logging.INFO)])
def test_on_a_terminal_the_lines_go_to_the_log_file_alone(caplog, monkeypatch, trainer, module, is_terminal, level):
    caplog.set_level(logging.DEBUG, "lai")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal, raising=False)
    ProgressLog().on_validation_end(trainer, module)
    assert [record.levelno for record in caplog.records] == [level]
