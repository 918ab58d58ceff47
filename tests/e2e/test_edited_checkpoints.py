"""A checkpoint whose structure was edited either resumes or is refused by one line that names the entry."""

import copy

import pytest
import torch
from runs import TINY, composed, example_lines
from toy_checkpoints import edited

from lai.config.load import load_run_config
from lai.host.errors import UserError
from lai.train import train

pytestmark = pytest.mark.heavy  # some ninety resumes

FIT = ("loops", "fit_loop")
GROUP = ("optimizer_states", 0, "param_groups", 0)
MOMENTS = ("optimizer_states", 0, "state", 0)
BEST = "ModelCheckpoint"
WEIGHT = ("state_dict", "model.layers.0.attn.wq.weight")
REFUSED, EITHER = True, False


def at(*path):
    """The entry of this path; a callback is found by the beginning of its name."""

    def find(content):
        for step in path[:-1]:
            content = content[key(content, step)]
        return content, key(content, path[-1])

    return find


def key(content, step):
    if isinstance(content, dict) and step not in content:
        return next((name for name in content if str(name).startswith(f"{step}{{")), step)
    return step


def without(*path):
    def change(content):
        holder, name = at(*path)(content)
        del holder[name]

    return change


def with_value(value, *path):
    def change(content):
        holder, name = at(*path)(content)
        holder[name] = value

    return change


def with_tensor(function, *path):
    def change(content):
        holder, name = at(*path)(content)
        holder[name] = function(holder[name])

    return change


EDITS = {
    # known keys missing
    "epoch missing": (without("epoch"), REFUSED),
    "global_step missing": (without("global_step"), REFUSED),
    "version of Lightning missing": (without("pytorch-lightning_version"), REFUSED),
    "weights missing": (without("state_dict"), REFUSED),
    "loops missing": (without("loops"), REFUSED),
    "callbacks missing": (without("callbacks"), REFUSED),
    "optimizer missing": (without("optimizer_states"), REFUSED),
    "schedule missing": (without("lr_schedulers"), REFUSED),
    "place in the data missing": (without("CorpusDataModule"), EITHER),
    "lai missing": (without("lai"), REFUSED),
    "version missing": (without("lai", "version"), REFUSED),
    "run missing": (without("lai", "run"), REFUSED),
    "config missing": (without("lai", "config"), REFUSED),
    "vocabulary missing": (without("lai", "vocab"), REFUSED),
    "training record missing": (without("lai", "training"), REFUSED),
    "manifest missing": (without("lai", "manifest"), EITHER),
    "manifest of no JSON": (with_value("{", "lai", "manifest"), REFUSED),
    "manifest of a list": (with_value("[]", "lai", "manifest"), REFUSED),
    "starts of a number": (with_value('{"starts": 3}', "lai", "manifest"), REFUSED),
    "a start without a duration": (with_value('{"starts": [{"step": 0}]}', "lai", "manifest"), REFUSED),
    "dim missing": (without("lai", "config", "dim"), REFUSED),
    "a weight missing": (without(*WEIGHT), REFUSED),
    "fit loop missing": (without(*FIT), REFUSED),
    "epochs missing": (without(*FIT, "epoch_progress"), REFUSED),
    "a count missing": (without(*FIT, "epoch_loop.batch_progress", "current", "processed"), REFUSED),
    "groups missing": (without("optimizer_states", 0, "param_groups"), REFUSED),
    "one group missing": (without("optimizer_states", 0, "param_groups", 1), REFUSED),
    "rate missing": (without(*GROUP, "lr"), REFUSED),
    "first rate missing": (without(*GROUP, "initial_lr"), REFUSED),
    "betas missing": (without(*GROUP, "betas"), REFUSED),
    "second moment missing": (without(*MOMENTS, "exp_avg_sq"), REFUSED),
    "state of a weight missing": (without(*MOMENTS), EITHER),
    "last rates missing": (without("lr_schedulers", 0, "_last_lr"), REFUSED),
    "data epoch missing": (without("CorpusDataModule", "epoch"), REFUSED),
    "metrics missing": (without("callbacks", "ExportModel", "metrics"), REFUSED),
    "best path missing": (without("callbacks", BEST, "best_model_path"), REFUSED),
    # wrong types
    "epoch is text": (with_value("1", "epoch"), REFUSED),
    "epoch is negative": (with_value(-1, "epoch"), REFUSED),
    "step is a list": (with_value([1], "global_step"), REFUSED),
    "step is another": (with_value(7, "global_step"), REFUSED),
    "step is huge": (with_value(10**30, "global_step"), REFUSED),
    "version of Lightning is a word": (with_value("newest", "pytorch-lightning_version"), REFUSED),
    "version is newer": (with_value(99, "lai", "version"), REFUSED),
    "version is text": (with_value("1", "lai", "version"), REFUSED),
    "run is a path": (with_value("../run", "lai", "run"), REFUSED),
    "config is a list": (with_value([], "lai", "config"), REFUSED),
    "dim is text": (with_value("32", "lai", "config", "dim"), REFUSED),
    "dim is 0": (with_value(0, "lai", "config", "dim"), REFUSED),
    "layers are many": (with_value(10**9, "lai", "config", "n_layers"), REFUSED),
    "vocabulary is text": (with_value("words", "lai", "vocab"), REFUSED),
    "vocabulary is cut": (with_tensor(lambda one: one[:100].clone(), "lai", "vocab"), REFUSED),
    "optimizer is unknown": (with_value("sgd", "lai", "optimizer"), REFUSED),
    "training record is a list": (with_value([1], "lai", "training"), REFUSED),
    "weights are a list": (with_value([], "state_dict"), REFUSED),
    "a weight is text": (with_value("heavy", *WEIGHT), REFUSED),
    "loops are a number": (with_value(3, "loops"), REFUSED),
    "a count is a fraction": (with_value(1.5, *FIT, "epoch_loop.batch_progress", "current", "ready"), REFUSED),
    "a flag is a number": (with_value(1, *FIT, "epoch_loop.batch_progress", "is_last_batch"), REFUSED),
    "callbacks are a list": (with_value([], "callbacks"), REFUSED),
    "state of the export is a number": (with_value(5, "callbacks", "ExportModel"), REFUSED),
    "best score is text": (with_value("low", "callbacks", BEST, "best_model_score"), REFUSED),
    "best paths are a list": (with_value([], "callbacks", BEST, "best_k_models"), REFUSED),
    "optimizer is empty": (with_value([], "optimizer_states"), REFUSED),
    "optimizer is twofold": (with_tensor(lambda one: one * 2, "optimizer_states"), REFUSED),
    "rate is text": (with_value("fast", *GROUP, "lr"), REFUSED),
    "rate is negative": (with_value(-1.0, *GROUP, "lr"), REFUSED),
    "rate is not finite": (with_value(float("nan"), *GROUP, "initial_lr"), REFUSED),
    "betas are three": (with_value((0.9, 0.9, 0.9), *GROUP, "betas"), REFUSED),
    "a switch is text": (with_value("yes", *GROUP, "fused"), REFUSED),
    "another algorithm": (with_value(True, *GROUP, "amsgrad"), REFUSED),
    "parameters twice": (with_value([0] * 14, *GROUP, "params"), REFUSED),
    "schedule is empty": (with_value([], "lr_schedulers"), REFUSED),
    "rates of the schedule are three": (with_value([1.0, 1.0, 1.0], "lr_schedulers", 0, "base_lrs"), REFUSED),
    "data batch is another": (with_value(999, "CorpusDataModule", "batch"), REFUSED),
    "order is a list": (with_value([], "CorpusDataModule", "order"), REFUSED),
    # wrong shapes and dtypes
    "weight is shorter": (with_tensor(lambda one: one[:-1].clone(), *WEIGHT), REFUSED),
    "weight is flat": (with_tensor(torch.flatten, *WEIGHT), REFUSED),
    "weight is one number for all": (with_tensor(lambda one: one[:1, :1].expand_as(one), *WEIGHT), REFUSED),
    "weight is of integers": (with_tensor(torch.Tensor.long, *WEIGHT), REFUSED),
    "weight is complex": (with_tensor(lambda one: one.to(torch.complex64), *WEIGHT), REFUSED),
    "weight is bfloat16": (with_tensor(torch.Tensor.bfloat16, *WEIGHT), EITHER),
    "moment is shorter": (with_tensor(lambda one: one[:-1].clone(), *MOMENTS, "exp_avg"), REFUSED),
    "moment is empty": (with_value(torch.zeros(0), *MOMENTS, "exp_avg_sq"), REFUSED),
    "moment is of integers": (with_tensor(torch.Tensor.int, *MOMENTS, "exp_avg"), REFUSED),
    "steps of a moment are two": (with_value(torch.ones(2), *MOMENTS, "step"), REFUSED),
    "vocabulary is of numbers": (with_tensor(torch.Tensor.float, "lai", "vocab"), REFUSED),
    # what nobody knows
    "extra entry": (with_value([1], "more"), REFUSED),
    "extra entry in lai": (with_value(1, "lai", "more"), REFUSED),
    "extra entry in the config": (with_value(1, "lai", "config", "more"), REFUSED),
    "extra weight": (with_value(torch.ones(1), "state_dict", "model.more"), REFUSED),
    "extra weight of nobody": (with_value(torch.ones(1), "state_dict", "more"), REFUSED),
    "extra loop": (with_value({}, "loops", "more"), REFUSED),
    "extra moment": (with_value(torch.ones(1), *MOMENTS, "more"), REFUSED),
    "extra parameter": (with_value({"step": torch.ones(())}, "optimizer_states", 0, "state", 99), REFUSED),
    "extra attribute of the schedule": (with_value(1, "lr_schedulers", 0, "step"), REFUSED),
    "extra state of a callback": (with_value({"count": 1}, "callbacks", "Nobody"), EITHER),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that resumes, without its checkpoint, and the checkpoint, which is of the step before its last."""
    folder = tmp_path_factory.mktemp("edited")
    (folder / "text.txt").write_text("\n".join(example_lines(300)) + "\n", encoding="utf-8")

    def compose(name, steps):
        paths = (f"output_dir={folder / name}", f"export.path={folder / f'{name}.bin'}", "~logger")
        data = (f"data.path={folder / 'text.txt'}", f"data.cache_dir={folder / 'cache'}")
        return load_run_config(composed(*paths, *TINY, *data, "checkpoint.keep=all", f"trainer.max_steps={steps}"))

    train(compose("first", 23))
    return compose("resumed", 24), folder / "first" / "checkpoints" / "last.ckpt"


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_structure_is_one_line_or_resumes(trained, tmp_path, name):
    change, is_refused = EDITS[name]
    run, checkpoint = copy.deepcopy(trained[0]), trained[1]
    run.ckpt_path = str(edited(checkpoint, change, tmp_path / "edited.ckpt"))
    try:
        train(run)
    except UserError as error:
        assert "\n" not in str(error)
        return
    assert not is_refused
