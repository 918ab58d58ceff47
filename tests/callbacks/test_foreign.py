"""Callbacks of Lightning's and of users in whole runs: what they put in place is exported, their faults are told."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging
from lightning.pytorch.strategies import FSDPStrategy
from processes import lai_train
from runs import TINY
from toy_callbacks import LIGHTNING, with_callback

from lai.callbacks import foreign
from lai.host.errors import UserError
from lai.train import train


class OddState(Callback):
    """Keeps what is not plain data, in its state and in an entry of its own."""

    def state_dict(self):
        return {"count": 3, "best": np.float64(0.3), "folder": Path("here")}

    def on_save_checkpoint(self, trainer, pl_module, checkpoint):
        checkpoint["found"] = Path("there")
        checkpoint["plain"] = [1, "two", {"three": torch.ones(3)}]


def test_callback_state_that_is_not_plain_data_is_left_out(tmp_path, compose_run, text_file, caplog):
    common = (f"data.path={text_file}", "trainer.max_epochs=2")
    expected = train(compose_run(*common))
    assert train(with_callback(compose_run(*common), f"{__name__}.OddState")) == expected
    assert caplog.text.count("OddState") == 1 and "(best, folder)" in caplog.text
    assert caplog.text.count("found, which a callback") == 1
    (best,) = (tmp_path / "run" / "checkpoints").glob("step*.ckpt")
    for path in (best, tmp_path / "run" / "checkpoints" / "last.ckpt"):
        checkpoint = torch.load(path, weights_only=True)
        assert checkpoint["plain"][:2] == [1, "two"]
        assert not {"OddState", "found"} & {*checkpoint, *checkpoint["callbacks"]}
        assert any(name.startswith("ModelCheckpoint") for name in checkpoint["callbacks"])
    longer = compose_run(f"data.path={text_file}", "trainer.max_epochs=3", f"ckpt_path={best}")
    assert math.isfinite(train(with_callback(longer, f"{__name__}.OddState")))


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
    run = with_callback(compose_run(f"data.path={text_file}", "trainer.max_steps=2"), f"{__name__}.Fails", hook=hook)
    with pytest.raises(UserError, match=f"callbacks: Fails fails in {hook} with KeyError: .*no such thing") as raised:
        train(run)
    assert "\n" not in str(raised.value)
    assert isinstance(raised.value.__cause__, KeyError)


def test_error_of_the_model_is_not_blamed_on_a_callback(compose_run, text_file, monkeypatch):
    monkeypatch.setattr("lai.model.module.LanguageModel.training_step", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(compose_run(f"data.path={text_file}", "trainer.max_steps=2"))


def test_a_state_that_one_of_our_callbacks_cannot_take_is_one_line(tmp_path, compose_run, text_file, monkeypatch):
    train(compose_run(f"data.path={text_file}", "trainer.max_steps=1"))

    def load_state_dict(self, state):
        return state["none"]

    monkeypatch.setattr("lai.callbacks.best_weights.BestWeights.load_state_dict", load_state_dict)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    with pytest.raises(UserError, match=r"cannot be resumed: callbacks\.BestWeights is not as BestWeights writes it"):
        train(compose_run(f"data.path={text_file}", "trainer.max_steps=2", f"ckpt_path={last}"))


@pytest.mark.heavy
def test_traceback_of_a_callback_is_in_the_log_file_and_shown_on_request(tmp_path, text_file):
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


def test_weight_averaging_is_refused_with_fsdp():
    trainer = SimpleNamespace(strategy=FSDPStrategy())
    with pytest.raises(UserError, match=r"callbacks\.ema: EMAWeightAveraging needs whole weights.*ddp"):
        foreign.refuse("callbacks.ema", EMAWeightAveraging(), trainer)
