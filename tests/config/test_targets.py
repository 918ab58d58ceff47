"""Which classes a config may name: ours, Lightning's, and what the user names; and those that have moved since."""

import logging

import pytest
from hydra.utils import get_class
from omegaconf import OmegaConf
from processes import lai_train
from runs import TINY, composed

from lai.config.load import load_run_config
from lai.config.targets import MOVED
from lai.host.errors import UserError
from lai.train import train


@pytest.mark.parametrize("old", [*MOVED, "lightning.pytorch.loggers.TensorBoardLogger"])
def test_a_run_with_the_old_path_of_a_logger_trains_and_logs(tmp_path, compose_run, text_file, old):
    run = compose_run(f"data.path={text_file}", "trainer.max_steps=1", f"logger.tensorboard._target_={old}")
    train(run)
    assert list((tmp_path / "run").glob("events.out.tfevents.*"))


def test_every_new_path_names_a_class():
    for new in MOVED.values():
        assert get_class(new).__name__ == new.rpartition(".")[2]


def test_other_paths_stay_as_they_are(compose_run):
    run = compose_run("+callbacks.mine._target_=lightning.pytorch.callbacks.LearningRateMonitor")
    assert run.callbacks["mine"]["_target_"] == "lightning.pytorch.callbacks.LearningRateMonitor"


CALLBACKS = "lightning.pytorch.callbacks"
MARKS = {"_target_": "logging.FileHandler", "filename": "MARKER"}
"""Stands for code of somebody else's choice: building it makes an empty file."""


def names(**node):
    return {"callbacks": {"x": {"_target_": f"{CALLBACKS}.Timer", **node}}}


FOREIGN = {
    "a callback": {"callbacks": {"x": MARKS}},
    "a logger": {"logger": {"x": MARKS}},
    "the trainer": {"trainer": MARKS},
    "an argument": names(duration=MARKS),
    "an argument of an argument": names(duration={"_target_": "datetime.timedelta", "hours": MARKS}),
    "a list": {"trainer": {"plugins": [[MARKS]]}},
    "a dict": {"trainer": {"profiler": {"of": {"mine": MARKS}}}},
    "positional arguments": names(_args_=[MARKS]),
    "a partial": names(duration=MARKS | {"_partial_": True}),
    "a node that is not recursive": names(_recursive_=False, duration=MARKS),
    "another group": {"data": {"synthetic": MARKS}},
    "an environment variable": names(duration=MARKS | {"_target_": "${oc.env:MARKING}"}),
    "another key": {"output_dir": "logging.FileHandler"} | names(duration=MARKS | {"_target_": "${output_dir}"}),
    "an interpolation inside another": names(duration="\\${oc.create:{_target_:logging.FileHandler,filename:MARKER}}"),
    "a node that a resolver makes": names(duration="${oc.create:{_target_:logging.FileHandler,filename:MARKER}}"),
    "a path out of Lightning": names(duration=MARKS | {"_target_": f"{CALLBACKS}.timer.logging.FileHandler"}),
    "a path out of LAi": names(duration=MARKS | {"_target_": "lai.run.loggers.logging.FileHandler"}),
    "a function of Hydra's": names(duration=MARKS | {"_target_": "hydra.utils.get_object"}),
    "a call of Hydra's": names(duration={"_target_": "hydra.utils.call", "config": MARKS}),
    "a function of Lightning's": names(duration={"_target_": f"{CALLBACKS}.timer.rank_zero_info"}),
    "a list instead of a name": names(duration=MARKS | {"_target_": ["logging.FileHandler"]}),
    "what allows itself": {"allow_targets": ["logging"], "callbacks": {"x": MARKS}},
}


@pytest.mark.parametrize("way", FOREIGN)
def test_a_config_from_elsewhere_names_no_code(tmp_path, monkeypatch, way):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARKING", "logging.FileHandler")
    config = composed(f"output_dir={tmp_path}")
    OmegaConf.set_struct(config, False)
    config = OmegaConf.merge(config, OmegaConf.create(FOREIGN[way]))
    with pytest.raises(UserError, match=r"command line does not|interpolation|is not a (whole )?number") as raised:
        run = load_run_config(config)
        from lai.run.build import build_trainer

        build_trainer(run, [])
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "MARKER").exists()


def test_what_the_overrides_name_may_be_built(compose_run):
    nested = "+callbacks.y={_target_: lightning.pytorch.callbacks.Timer, duration: {_target_: mine.Hours}}"
    run = compose_run("+callbacks.x._target_=logging.FileHandler", "+callbacks.x.filename=a", nested)
    assert run.callbacks["x"]["_target_"] == "logging.FileHandler"
    assert run.callbacks["y"]["duration"]["_target_"] == "mine.Hours"


@pytest.mark.parametrize(
    ("target", "is_allowed"),
    [("toy_callbacks.SignalAt", True), ("toy_callbacks.torch.nn.Linear", False), ("toy_callbacks.train", False)],
)
def test_an_allowed_package_gives_what_it_defines_and_not_what_it_imports(target, is_allowed, tmp_path):
    config = composed(f"output_dir={tmp_path}", f"+callbacks.x._target_={target}")
    overrides = ["allow_targets=[toy_callbacks]"]
    if is_allowed:
        assert load_run_config(config, overrides).callbacks["x"]["_target_"] == target
        return
    with pytest.raises(UserError, match=r"callbacks\.x\._target_ is 'toy_callbacks|cannot import"):
        load_run_config(config, overrides)


@pytest.mark.parametrize("value", ["[1]", "[../mine]", "['os;']", "null"])
def test_allow_targets_takes_names_of_packages(value, tmp_path):
    with pytest.raises(UserError, match="allow_targets is"):
        load_run_config(composed(f"output_dir={tmp_path}"), [f"allow_targets={value}"])


@pytest.mark.heavy
def test_the_config_of_a_run_with_a_users_callback_runs_again_where_it_is_allowed(tmp_path, text_file):
    (tmp_path / "mine.py").write_text(
        "from lightning.pytorch.callbacks import Callback\nclass Mine(Callback):\n    pass\n"
    )
    first = (*TINY, f"data.path={text_file}", "trainer.max_steps=1", "+callbacks.mine._target_=mine.Mine")
    assert lai_train(*first, "hydra.run.dir=first", cwd=tmp_path).returncode == 0
    again = ("--config-path", str(tmp_path / "first"), "--config-name", "config")
    refused = lai_train(*again, "hydra.run.dir=second", cwd=tmp_path)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "callbacks.mine._target_ is 'mine.Mine'" in refused.stderr and "allow_targets=[mine]" in refused.stderr
    allowed = lai_train(*again, "hydra.run.dir=third", "allow_targets=[mine]", cwd=tmp_path)
    assert allowed.returncode == 0, allowed.stderr


def test_the_marker_is_one():
    assert get_class(MARKS["_target_"]) is logging.FileHandler
