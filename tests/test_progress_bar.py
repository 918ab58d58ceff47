"""What the bar shows, and how often it reads it."""

from types import SimpleNamespace

import torch

from lai import assembly
from lai.callbacks.export import ExportModel
from lai.callbacks.progress_bar import ProgressBar
from lai.data.prepare import prepare_corpus
from lai.data.progress import progress

METRICS = {"train/loss": torch.tensor(1.23456), "train/lr": torch.tensor(0.002), "val/loss_floor": torch.tensor(0.8)}


def test_it_reads_metrics_as_often_as_it_is_drawn(monkeypatch):
    bar = ProgressBar()
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    shown = bar.get_metrics(SimpleNamespace(callback_metrics=METRICS), None)
    assert shown == {"loss": "1.235", "lr": "2.0e-03", "floor": "0.800"}
    monkeypatch.setattr("time.monotonic", lambda: 100.1)
    assert bar.get_metrics(SimpleNamespace(callback_metrics={}), None) == shown
    monkeypatch.setattr("time.monotonic", lambda: 100.3)
    assert bar.get_metrics(SimpleNamespace(callback_metrics={}), None) == {}


def test_no_metric_is_one_that_lightning_reads_in_every_step(tmp_path, compose_run, text_file):
    run = compose_run(f"data.path={text_file}", "trainer.max_steps=12")
    corpus = prepare_corpus(run.data)
    trainer = assembly.build_trainer(run, ExportModel(tmp_path / "model.bin"))
    module = assembly.build_module(run, assembly.model_config(run.model, len(corpus.vocab)), corpus)
    assembly.fit(trainer, module, assembly.build_datamodule(run, corpus), None)
    assert {"train/loss", "train/lr", "train/tokens_per_second", "val/loss"} <= set(trainer.callback_metrics)
    assert trainer.progress_bar_metrics == {}


def test_the_bar_of_preparing_data_writes_nothing_where_there_is_no_terminal(capsys):
    with progress("building", 3) as show:
        show(3)
    assert capsys.readouterr() == ("", "")
