"""What the bar shows, and how often it reads it."""

from types import SimpleNamespace

import pytest
import torch

from lai.callbacks.export import ExportModel
from lai.callbacks.progress_bar import ProgressBar
from lai.data.prepare import prepare_corpus
from lai.model.transformer import ModelConfig
from lai.run.build import build_datamodule, build_module, build_trainer
from lai.run.fit import fit

METRICS = {"train/loss": torch.tensor(1.23456), "train/lr": torch.tensor(0.002), "val/loss_floor": torch.tensor(0.8)}


def test_metrics_are_read_only_when_the_bar_is_drawn(monkeypatch):
    bar = ProgressBar()
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    shown = bar.get_metrics(SimpleNamespace(callback_metrics=METRICS), None)
    assert shown == {"loss": "1.235", "lr": "2.0e-03", "floor": "0.800"}
    monkeypatch.setattr("time.monotonic", lambda: 100.1)
    assert bar.get_metrics(SimpleNamespace(callback_metrics={}), None) == shown
    monkeypatch.setattr("time.monotonic", lambda: 100.3)
    assert bar.get_metrics(SimpleNamespace(callback_metrics={}), None) == {}


def test_no_metric_is_logged_for_lightnings_own_bar(tmp_path, compose_run, text_file):
    run = compose_run(f"data.path={text_file}", "trainer.max_steps=12")
    corpus = prepare_corpus(run.data)
    trainer = build_trainer(run, ExportModel(tmp_path / "model.bin").callbacks)
    module = build_module(run, ModelConfig.of(run.model, len(corpus.vocab)), corpus)
    fit(run, trainer, module, build_datamodule(run, corpus))
    assert {"train/loss", "train/lr", "train/tokens_per_second", "val/loss"} <= set(trainer.callback_metrics)
    assert trainer.progress_bar_metrics == {}


class Watched(ProgressBar):
    """The bar as at a terminal, which notes what it counts and up to where."""

    def __init__(self):
        super().__init__()
        self.enable()
        self.shown = []

    def on_train_batch_end(self, *arguments):
        super().on_train_batch_end(*arguments)
        task = self.train_progress_bar
        self.shown.append((task.description.removeprefix("[]").strip(), task.completed, task.total))


@pytest.mark.parametrize(
    ("limits", "last", "expected"),
    [
        (["trainer.max_epochs=3"], ("Epoch 3/3", 22, 22), ["Epoch 1/3", "Epoch 2/3", "Epoch 3/3"]),
        (["trainer.max_epochs=10", "trainer.max_steps=30"], ("Epoch 2/2", 8, 8), ["Epoch 1/2", "Epoch 2/2"]),
        (["trainer.max_epochs=-1", "trainer.max_steps=9"], ("Epoch 1/1", 9, 9), ["Epoch 1/1"]),
        (
            ["trainer.max_steps=9", "trainer.accumulate_grad_batches=4", "trainer.max_epochs=-1"],
            ("Epoch 2/2", 12, 12),  # six steps in the first epoch, of 22 batches; three in the second
            ["Epoch 1/2", "Epoch 2/2"],
        ),
    ],
)
def test_the_bar_counts_epochs_from_one_and_batches_up_to_the_end(
    tmp_path, compose_run, text_file, limits, last, expected
):
    run = compose_run(f"data.path={text_file}", *limits)
    run.callbacks["progress_bar"] = {"_target_": f"{__name__}.Watched"}
    corpus = prepare_corpus(run.data)
    trainer = build_trainer(run, ExportModel(tmp_path / "model.bin").callbacks)
    module = build_module(run, ModelConfig.of(run.model, len(corpus.vocab)), corpus)
    fit(run, trainer, module, build_datamodule(run, corpus))
    shown = trainer.progress_bar_callback.shown
    assert shown[-1] == last
    assert sorted({description for description, _, _ in shown}) == expected


def test_run_without_a_last_epoch_shows_no_total():
    bar = Watched()
    bar._trainer = SimpleNamespace(max_epochs=-1, max_steps=-1)
    assert bar._get_train_description(4).strip() == "Epoch 5"
