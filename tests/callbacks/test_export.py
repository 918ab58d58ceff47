"""The model file of a run: which weights it has, and when there is none."""

import copy
import errno
import math
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from runs import rows_of
from toy_callbacks import LIGHTNING, exported, measured, with_callback

from lai.export.checkpoint import read_checkpoint
from lai.export.lai_file import read_model
from lai.export.safetensors_file import read_safetensors
from lai.host.errors import UserError
from lai.train import train


def test_stopping_inside_an_epoch_validates_and_exports_the_last_weights(tmp_path, compose_run, text_file):
    run = compose_run(f"data.path={text_file}", "trainer.max_steps=5", "trainer.max_epochs=-1")
    assert math.isfinite(train(run))
    weights = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt").weights
    exported = read_model(tmp_path / "model.bin").weights
    assert all(torch.equal(exported[name], weights[name]) for name in exported)


def test_failed_export_names_the_checkpoint_with_the_weights(tmp_path, compose_run, text_file, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("lai.callbacks.export.export_model", full)
    with pytest.raises(UserError, match=r"No space left on device.*lai-export \S+/step3\.ckpt"):
        train(compose_run(f"data.path={text_file}", "trainer.max_steps=3"))


def test_a_folder_for_transformers_stands_beside_the_model_file(tmp_path, compose_run, text_file, monkeypatch, caplog):
    monkeypatch.setattr("lai.export.formats.ask", lambda *_: None)
    with caplog.at_level("INFO"):
        train(compose_run(f"data.path={text_file}", "trainer.max_steps=3", "export.formats=[lai,hf]"))
    assert f"export      {tmp_path / 'model.hf'}: " in caplog.text
    stored, _ = read_safetensors(tmp_path / "model.hf" / "model.safetensors")
    assert torch.equal(stored["model.norm.weight"], read_model(tmp_path / "model.bin").weights["final_norm.weight"])


def test_a_format_that_fails_is_a_warning_and_the_model_file_stays(
    tmp_path, compose_run, text_file, monkeypatch, caplog
):
    def fails(*_):
        raise RuntimeError("of another program")

    monkeypatch.setattr("lai.callbacks.export.export_other", fails)
    assert math.isfinite(train(compose_run(f"data.path={text_file}", "trainer.max_steps=3", "export.formats=[lai,hf]")))
    expected = f"export.formats=hf: RuntimeError: of another program; {tmp_path / 'model.bin'} is written"
    assert expected in caplog.text
    assert read_model(tmp_path / "model.bin").config.dim == 32 and not (tmp_path / "model.hf").exists()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["export.formats=[hf]"], "the model file is always written: add lai to the list"),
        (["export.formats=[lai,onnx]"], "export.formats is 'onnx'; it must be one of lai, gguf, hf"),
        (["export.formats=[lai,hf]", "export.dtype=q4_0"], "a Hugging Face folder holds no q4_0"),
    ],
)
def test_what_a_format_cannot_hold_is_said_before_training(compose_run, text_file, overrides, words):
    with pytest.raises(UserError, match=words):
        train(compose_run(f"data.path={text_file}", *overrides))


def test_max_time_ends_a_run_and_exports(tmp_path, compose_run, text_file):
    train(compose_run(f"data.path={text_file}", "trainer.max_epochs=-1", "trainer.max_time=00:00:00:03"))
    assert read_model(tmp_path / "model.bin").config.dim == 32


def test_early_stopping_exports_the_best_weights(tmp_path, compose_run, text_file):
    run = compose_run(
        f"data.path={text_file}",
        "trainer.max_epochs=20",
        "optimizer.lr=3.0",  # so high that the loss soon rises
        "schedule=constant",
        "trainer.check_val_every_n_epoch=1",
        "+callbacks.stop._target_=lightning.pytorch.callbacks.EarlyStopping",
        "+callbacks.stop.monitor=val/loss",
        "+callbacks.stop.patience=2",
        "+callbacks.stop.check_finite=false",
    )
    loss = train(run)
    found = [value for _, value in rows_of(tmp_path / "run", "val/loss")]
    assert len(found) < 20
    assert loss == pytest.approx(min(found), abs=1e-4)


def test_unchanged_weights_are_not_exported(tmp_path, compose_run, text_file):
    with pytest.raises(UserError, match=r"changed no weight.*optimizer\.lr"):
        train(
            compose_run(
                f"data.path={text_file}", "trainer.max_steps=3", "optimizer.lr=1e-30", "optimizer.embedding_lr=1e-30"
            )
        )
    assert not (tmp_path / "model.bin").exists()


class Record(Callback):
    """The weights after every step and at the start of every epoch, for averages by hand."""

    steps: list = []  # noqa: RUF012
    epochs: list = []  # noqa: RUF012

    def on_train_start(self, *_):
        self.steps.clear()
        self.epochs.clear()

    def on_train_epoch_start(self, trainer, pl_module):
        self.epochs.append(copy.deepcopy(dict(pl_module.model.named_parameters())))

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.steps.append(copy.deepcopy(dict(pl_module.model.named_parameters())))


def test_averaged_weights_are_validated_kept_and_exported(tmp_path, compose_run, text_file):
    common = (f"data.path={text_file}", "trainer.max_epochs=2")
    train(compose_run(*common))
    plain = {name: rows_of(tmp_path / "run", name)[-1][1] for name in ("val/loss", "val/bpb")}
    run = with_callback(compose_run(*common), f"{LIGHTNING}.EMAWeightAveraging", decay=0.9)
    run.callbacks["record"] = {"_target_": f"{__name__}.Record"}
    loss = train(run)
    found = {name: rows_of(tmp_path / "run", name)[-1][1] for name in plain}
    # Both are nats of the same text, so their ratio is one of the text alone.
    assert found["val/bpb"] / found["val/loss"] == pytest.approx(plain["val/bpb"] / plain["val/loss"], rel=1e-6)
    average = {name: weight.detach().clone() for name, weight in Record.steps[0].items()}
    for weights in Record.steps[1:]:
        for name, weight in weights.items():
            average[name] = 0.9 * average[name] + 0.1 * weight.detach()
    weights = exported(tmp_path)
    for name, weight in average.items():
        assert torch.allclose(torch.as_tensor(weights[name]), weight, atol=1e-5), name
    kept = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt").weights
    assert all(torch.equal(kept[name], torch.as_tensor(weights[name])) for name in average)
    assert loss == pytest.approx(measured(run, weights), rel=1e-4)
    assert loss != pytest.approx(plain["val/loss"], rel=1e-3)


def test_a_resumed_run_of_averaged_weights_does_what_an_uninterrupted_one_does(tmp_path, compose_run, text_file):
    def run(*overrides):
        composed = compose_run(f"data.path={text_file}", "trainer.max_epochs=3", *overrides)
        return with_callback(composed, f"{LIGHTNING}.EMAWeightAveraging", decay=0.9)

    whole = run()
    whole.callbacks["checkpoint"] |= {"monitor": None, "save_top_k": -1, "dirpath": str(tmp_path / "kept")}
    expected = train(whole)
    weights = exported(tmp_path)
    assert train(run(f"ckpt_path={tmp_path / 'kept' / 'step22.ckpt'}")) == expected
    assert all(
        torch.equal(torch.as_tensor(weights[name]), torch.as_tensor(w)) for name, w in exported(tmp_path).items()
    )


def test_the_average_of_stochastic_weight_averaging_is_validated_and_exported(tmp_path, compose_run, text_file, caplog):
    run = compose_run(f"data.path={text_file}", "trainer.max_epochs=4")
    with_callback(run, f"{LIGHTNING}.StochasticWeightAveraging", swa_lrs=0.01, swa_epoch_start=2)
    run.callbacks["record"] = {"_target_": f"{__name__}.Record"}
    with caplog.at_level("INFO", logger="lai"):
        loss = train(run)
    weights, parts = exported(tmp_path), Record.epochs[1:]  # from its second epoch on
    for name in parts[0]:
        average = torch.stack([part[name].detach() for part in parts]).mean(0)
        assert torch.allclose(torch.as_tensor(weights[name]), average, atol=1e-6), name
    assert loss == pytest.approx(measured(run, weights), rel=1e-4)
    assert "a callback put other weights in place at the end" in caplog.text  # worse than the last ones, so early


class ScaleForValidation(Callback):
    """Validates other weights than those that are trained and kept."""

    def on_validation_start(self, trainer, pl_module):
        pl_module.model.final_norm.weight.data.mul_(2)

    def on_validation_end(self, trainer, pl_module):
        pl_module.model.final_norm.weight.data.mul_(0.5)


def test_loss_of_other_weights_than_the_exported_draws_a_warning(tmp_path, compose_run, text_file, caplog):
    train(
        with_callback(compose_run(f"data.path={text_file}", "trainer.max_epochs=1"), f"{__name__}.ScaleForValidation")
    )
    assert "is not that of the exported weights" in caplog.text
    caplog.clear()
    train(compose_run(f"data.path={text_file}", "trainer.max_epochs=1"))
    assert "exported weights" not in caplog.text


def test_an_average_that_never_begins_is_not_exported(tmp_path, compose_run, text_file):
    run = compose_run(f"data.path={text_file}", "trainer.max_epochs=1")
    with_callback(run, f"{LIGHTNING}.EMAWeightAveraging", update_starting_at_step=1000)
    with pytest.raises(UserError, match="changed no weight"):
        train(run)
    assert not (tmp_path / "model.bin").exists()


class CutBest(Callback):
    """A disk loses the end of a file."""

    def on_train_end(self, trainer, *_):
        path = Path(trainer.checkpoint_callback.best_model_path)
        path.write_bytes(path.read_bytes()[:1000])


def test_the_weights_in_memory_are_exported_where_the_best_checkpoint_cannot_be_read(
    tmp_path, compose_run, text_file, caplog
):
    train(with_callback(compose_run(f"data.path={text_file}", "trainer.max_epochs=1"), f"{__name__}.CutBest"))
    assert "step22.ckpt is not a whole checkpoint" in caplog.text
    assert "the weights in memory are exported" in caplog.text
    last = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt").weights
    assert all(torch.equal(torch.as_tensor(weight), last[name]) for name, weight in exported(tmp_path).items())
