"""Callbacks of Lightning's and of users in whole runs: what they put in place is exported, their faults are told."""

import copy
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging
from lightning.pytorch.strategies import FSDPStrategy
from processes import lai_train
from runs import TINY, rows_of

from lai.callbacks import foreign
from lai.data.prepare import prepare_corpus
from lai.export.checkpoint import read_checkpoint
from lai.export.lai_file import read_model
from lai.host.errors import UserError
from lai.model.transformer import ModelConfig, Transformer
from lai.run.build import build_datamodule
from lai.tokenizer.targets import IGNORE_INDEX
from lai.train import train

LIGHTNING = "lightning.pytorch.callbacks"


def with_callback(run, name, **arguments):
    """The run with a callback, of this file where its name has no dot."""
    run.callbacks["added"] = {"_target_": name if "." in name else f"{__name__}.{name}", **arguments}
    return run


def measured(run, weights):
    """The validation loss of a network with these weights: nats a token, computed without Lightning."""
    corpus = prepare_corpus(run.data)
    network = Transformer(ModelConfig.of(run.model, len(corpus.vocab)))
    network.load_state_dict({name: torch.as_tensor(weight) for name, weight in weights.items()}, strict=False)
    nats = tokens = 0.0
    with torch.no_grad():
        for batch in build_datamodule(run, corpus).val_dataloader():
            nats += float(network(batch["tokens"], batch["documents"], targets=batch["targets"]))
            tokens += int((batch["targets"] != IGNORE_INDEX).sum())
    return nats / tokens


def exported(tmp_path):
    return read_model(tmp_path / "model.bin").weights


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


class ScaleAtTheEnd(Callback):
    """Puts other weights in place when training ends."""

    def on_train_end(self, trainer, pl_module):
        with torch.no_grad():
            pl_module.model.final_norm.weight.mul_(0.5)


def test_what_a_callback_puts_in_place_at_the_end_is_validated_and_exported(tmp_path, compose_run, text_file):
    run = with_callback(compose_run(f"data.path={text_file}", "trainer.max_epochs=1"), "ScaleAtTheEnd")
    loss = train(run)
    last = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt").weights
    weights = exported(tmp_path)
    name = "final_norm.weight"
    assert torch.equal(torch.as_tensor(weights[name]), 0.5 * last[name])
    assert loss == pytest.approx(measured(run, weights), rel=1e-4)
    assert loss != pytest.approx(measured(run, last), rel=1e-3)


class ScaleForValidation(Callback):
    """Validates other weights than those that are trained and kept."""

    def on_validation_start(self, trainer, pl_module):
        pl_module.model.final_norm.weight.data.mul_(2)

    def on_validation_end(self, trainer, pl_module):
        pl_module.model.final_norm.weight.data.mul_(0.5)


def test_a_loss_that_is_not_that_of_the_exported_weights_is_told(tmp_path, compose_run, text_file, caplog):
    train(with_callback(compose_run(f"data.path={text_file}", "trainer.max_epochs=1"), "ScaleForValidation"))
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


class OddState(Callback):
    """Keeps what is not plain data, in its state and in an entry of its own."""

    def state_dict(self):
        return {"count": 3, "best": np.float64(0.3), "folder": Path("here")}

    def on_save_checkpoint(self, trainer, pl_module, checkpoint):
        checkpoint["found"] = Path("there")
        checkpoint["plain"] = [1, "two", {"three": torch.ones(3)}]


def test_a_callback_with_odd_state_costs_a_run_only_this_state(tmp_path, compose_run, text_file, caplog):
    common = (f"data.path={text_file}", "trainer.max_epochs=2")
    expected = train(compose_run(*common))
    assert train(with_callback(compose_run(*common), "OddState")) == expected
    assert caplog.text.count("OddState") == 1 and "(best, folder)" in caplog.text
    assert caplog.text.count("found, which a callback") == 1
    (best,) = (tmp_path / "run" / "checkpoints").glob("step*.ckpt")
    for path in (best, tmp_path / "run" / "checkpoints" / "last.ckpt"):
        checkpoint = torch.load(path, weights_only=True)
        assert checkpoint["plain"][:2] == [1, "two"]
        assert not {"OddState", "found"} & {*checkpoint, *checkpoint["callbacks"]}
        assert any(name.startswith("ModelCheckpoint") for name in checkpoint["callbacks"])
    longer = compose_run(f"data.path={text_file}", "trainer.max_epochs=3", f"ckpt_path={best}")
    assert math.isfinite(train(with_callback(longer, "OddState")))


class CutBest(Callback):
    """A disk loses the end of a file."""

    def on_train_end(self, trainer, *_):
        path = Path(trainer.checkpoint_callback.best_model_path)
        path.write_bytes(path.read_bytes()[:1000])


def test_the_weights_in_memory_are_exported_where_the_best_checkpoint_cannot_be_read(
    tmp_path, compose_run, text_file, caplog
):
    train(with_callback(compose_run(f"data.path={text_file}", "trainer.max_epochs=1"), "CutBest"))
    assert "step22.ckpt is not a whole checkpoint" in caplog.text
    assert "the weights in memory are exported" in caplog.text
    last = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt").weights
    assert all(torch.equal(torch.as_tensor(weight), last[name]) for name, weight in exported(tmp_path).items())


class Fails(Callback):
    """Fails in one of its methods."""

    def __init__(self, hook):
        self.hook = hook

    def _call(self, hook):
        if hook == self.hook:
            raise KeyError("no such thing\nand a second line")

    def setup(self, *_, **__):
        self._call("setup")

    def on_fit_start(self, *_):
        self._call("on_fit_start")

    def on_train_batch_end(self, *_):
        self._call("on_train_batch_end")

    def on_validation_end(self, *_):
        self._call("on_validation_end")

    def on_fit_end(self, *_):
        self._call("on_fit_end")

    def state_dict(self):
        self._call("state_dict")
        return {}


@pytest.mark.parametrize(
    "hook", ["setup", "on_fit_start", "on_train_batch_end", "on_validation_end", "state_dict", "on_fit_end"]
)
def test_an_error_of_a_callback_is_one_line_that_names_it(compose_run, text_file, hook):
    run = with_callback(compose_run(f"data.path={text_file}", "trainer.max_steps=2"), "Fails", hook=hook)
    with pytest.raises(UserError, match=f"callbacks: Fails fails in {hook} with KeyError: .*no such thing") as raised:
        train(run)
    assert "\n" not in str(raised.value)
    assert isinstance(raised.value.__cause__, KeyError)


def test_an_error_of_the_model_itself_is_no_callbacks(compose_run, text_file, monkeypatch):
    monkeypatch.setattr("lai.model.module.LanguageModel.training_step", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(compose_run(f"data.path={text_file}", "trainer.max_steps=2"))


def test_where_a_callback_failed_is_in_the_log_file_and_shown_on_request(tmp_path, text_file):
    (tmp_path / "mine.py").write_text(
        "from lightning.pytorch.callbacks import Callback\n"
        "class Mine(Callback):\n"
        "    def on_fit_start(self, *_):\n"
        "        raise LookupError('nothing here')\n"
    )
    run = (*TINY, f"data.path={text_file}", "+callbacks.mine._target_=mine.Mine")
    where = f'File "{tmp_path / "mine.py"}", line 4, in on_fit_start'
    done = lai_train(*run, "hydra.run.dir=run", cwd=tmp_path)
    line = (
        "error: callbacks: Mine fails in on_fit_start with LookupError: nothing here; HYDRA_FULL_ERROR=1 shows where\n"
    )
    assert (done.returncode, done.stderr) == (2, line)
    assert where in (tmp_path / "run" / "train.log").read_text()
    assert where not in done.stdout
    shown = lai_train(*run, cwd=tmp_path, HYDRA_FULL_ERROR="1")
    assert shown.returncode == 2
    assert where in shown.stderr and shown.stderr.endswith(line)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("LearningRateFinder", {}, "-m optimizer.lr"),
        ("BatchSizeFinder", {}, "data.batch_size"),
        ("GradientAccumulationScheduler", {"scheduling": {0: 1, 1: 2}}, "trainer.accumulate_grad_batches"),
        ("DeviceStatsMonitor", {}, "pip install psutil"),
        ("OnExceptionCheckpoint", {"dirpath": "anywhere"}, "leave it out"),
    ],
)
def test_a_callback_that_cannot_work_here_is_refused_by_name_before_any_data(
    tmp_path, compose_run, text_file, monkeypatch, name, arguments, words
):
    monkeypatch.setattr("lai.callbacks.foreign.importlib.util.find_spec", lambda _: None)  # psutil may be there
    run = with_callback(compose_run(f"data.path={text_file}"), f"{LIGHTNING}.{name}", **arguments)
    with pytest.raises(UserError, match=f"callbacks.added: {name} .*{words}"):
        train(run)
    assert not (tmp_path / "cache").exists()


def test_averages_need_whole_weights():
    trainer = SimpleNamespace(strategy=FSDPStrategy())
    with pytest.raises(UserError, match=r"callbacks\.ema: EMAWeightAveraging needs whole weights.*ddp"):
        foreign.refuse("callbacks.ema", EMAWeightAveraging(), trainer)
