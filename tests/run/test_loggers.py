"""What loggers get of a run: its settings, its end, and earlier metrics kept."""

import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from lai.run.loggers import TensorBoard, closing, log_settings
from lai.train import train


def test_metrics_of_an_earlier_run_in_the_same_folder_are_kept(tmp_path, compose_run, text_file):
    for _ in range(3):
        train(compose_run(f"data.path={text_file}", "trainer.max_steps=1", "trainer.log_every_n_steps=1"))
    names = sorted(path.name for path in (tmp_path / "run").glob("metrics*.csv"))
    assert names == ["metrics-1.csv", "metrics-2.csv", "metrics.csv"]


@pytest.mark.parametrize("fails", [False, True])
def test_loggers_are_closed_after_a_run_and_told_whether_it_failed(tmp_path, monkeypatch, fails):
    finished = []
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(finish=lambda exit_code: finished.append(exit_code)))
    monkeypatch.setattr("lai.run.loggers.WandbLogger", Wandb)
    board = TensorBoard(tmp_path)
    writer = board.experiment
    with pytest.raises(ZeroDivisionError) if fails else nullcontext(), closing([board, Wandb()]):
        writer.add_scalar("a", 1 / (not fails), 1)
    assert finished == [int(fails)]
    assert writer.file_writer is None  # as PyTorch's writer is once it is closed


class Wandb:
    """Stands for the logger of a package that is not installed."""


def test_settings_are_logged_flat_and_without_callbacks(compose_run):
    logged = []
    trainer = SimpleNamespace(loggers=[SimpleNamespace(log_hyperparams=logged.append)])
    log_settings(trainer, compose_run("optimizer.lr=0.5"))
    (settings,) = logged
    assert settings["optimizer.lr"] == 0.5 and settings["model.dim"] == 32
    assert not [key for key in settings if key.startswith(("callbacks", "logger"))]
    assert all(isinstance(value, bool | int | float | str | None) for value in settings.values())
