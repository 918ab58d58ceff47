"""Whether a checkpoint fits the run that resumes it: its loops, its optimizer, and the weights as they are now."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning
import torch
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy, Strategy

from lai.host.errors import UserError
from lai.host.plain_data import (
    ANY,
    COUNT,
    FLAG,
    NOTHING,
    NUMBER,
    POSITIVE,
    SHARE,
    TEXT,
    Description,
    Items,
    Kind,
    Record,
    check,
    choice,
    like,
    nullable,
)
from lai.model.dropped_state import NO_STATE, lacks_state
from lai.model.stored_tensor import FLOATS, tensor

_OF_THIS_RUN = ("foreach", "capturable", "differentiable", "fused")  # how a step is computed, not what it gives
_SWITCHES: dict[Any, Description] = {name: nullable(FLAG) for name in _OF_THIS_RUN}
_SCALAR = Kind("a number, text or null", lambda value: value is None or type(value) in (bool, int, float, str))
_PARAMETER = Kind("a number or a name", lambda value: COUNT.accepts(value) or TEXT.accepts(value))  # a name under FSDP
_RATES: dict[Any, Description] = {
    "params": Items(_PARAMETER),
    "lr": POSITIVE,
    "initial_lr": POSITIVE,
    "weight_decay": POSITIVE,
}
_ADAMW = Record(
    _RATES | {"betas": Items(SHARE, 2), "eps": POSITIVE},
    _SWITCHES | {"amsgrad": choice(False), "maximize": choice(False), "decoupled_weight_decay": choice(True)},
    rest=_SCALAR,
)
_MUON = Record(_RATES | {"momentum": SHARE}, rest=_SCALAR)
_STEP = tensor((), (torch.float32,))


@contextmanager
def resuming() -> Iterator[None]:
    """Let the line of an error say that it is the checkpoint that cannot be resumed.

    Raises:
        UserError: what was raised within.
    """
    try:
        yield
    except UserError as error:
        raise UserError(f"the checkpoint cannot be resumed: {error}") from None


def check_resumable(checkpoint: dict[str, Any], module: lightning.LightningModule) -> None:
    """Refuse a checkpoint whose state has another structure than that of this run.

    Raises:
        UserError: the line names the entry that differs.
    """
    if "optimizer_states" not in checkpoint:
        raise UserError("the checkpoint has weights only (save_weights_only), so no run can resume from it")
    if lacks_state(checkpoint) and not _has_whole_weights(module.trainer.strategy):
        raise UserError(NO_STATE)  # FSDP loads no state that is empty
    with resuming():
        for name in ("lr_schedulers", "callbacks"):
            if name not in checkpoint:
                raise UserError(f"{name} is missing")
        _check_loops(checkpoint, module.trainer)
        groups = _check_groups(checkpoint)
        check(checkpoint["lr_schedulers"], Items(_schedule(groups), 1), "lr_schedulers")
        if "state_dict" in checkpoint and _has_whole_weights(module.trainer.strategy):
            weights = module.state_dict().items()
            expected = {name: tensor(weight.shape, (*FLOATS, weight.dtype)) for name, weight in weights}
            check(dict(checkpoint["state_dict"]), Record(expected), "state_dict")


def _check_loops(checkpoint: dict[str, Any], trainer: lightning.Trainer) -> None:
    loops = {
        "fit_loop": trainer.fit_loop,
        "validate_loop": trainer.validate_loop,
        "test_loop": trainer.test_loop,
        "predict_loop": trainer.predict_loop,
    }
    check(checkpoint["loops"], like({name: loop.state_dict() for name, loop in loops.items()}), "loops")
    fit = checkpoint["loops"]["fit_loop"]
    steps = fit["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]["step"]["total"]["completed"]
    epochs = fit["epoch_progress"]["current"]["completed"]
    done = fit["epoch_loop.batch_progress"]["current"]["processed"]
    place = checkpoint.get("CorpusDataModule", {})
    for name, value, expected in (
        ("global_step", checkpoint["global_step"], steps),
        ("epoch", checkpoint["epoch"], epochs),
        ("CorpusDataModule.epoch", place.get("epoch", epochs), epochs),
        ("CorpusDataModule.batch", place.get("batch", done), done),
    ):
        if value != expected:
            raise UserError(f"{name} is {value}, but its loops are at {expected}")


def _check_groups(checkpoint: dict[str, Any]) -> int:
    """Check the optimizer's settings; gives the number of its groups."""
    states = checkpoint["optimizer_states"]
    if len(states) != 1:
        raise UserError(f"optimizer_states has {len(states)} items, expected 1")
    groups = states[0]["param_groups"]
    check(groups, Items(Record({"params": Items(_PARAMETER)}, rest=ANY)), "optimizer_states.0.param_groups")
    if len(groups) < 2:  # the matrices, and the rest
        raise UserError(f"optimizer_states.0.param_groups has {len(groups)} items, expected 2")
    parameters = [parameter for group in groups for parameter in group["params"]]
    if len({*parameters}) < len(parameters):
        raise UserError("optimizer_states.0.param_groups name a parameter twice")
    for number, group in enumerate(groups):
        is_muon = number == 0 and checkpoint["lai"].get("optimizer") == "muon"
        check(group, _MUON if is_muon else _ADAMW, f"optimizer_states.0.param_groups.{number}")
    return len(groups)


def _schedule(groups: int) -> Record:
    """The state of LambdaLR and SWALR; PyTorch makes attributes of all that is in it."""
    return Record(
        {"last_epoch": COUNT, "_step_count": COUNT, "_last_lr": Items(NUMBER, groups)},
        {
            "base_lrs": Items(NUMBER, groups),
            "lr_lambdas": Items(NOTHING, groups),
            "_is_initial": FLAG,
            "_get_lr_called_within_step": FLAG,
            "verbose": FLAG,
            "swa_lrs": Items(NUMBER),
            "anneal_epochs": COUNT,
            "_anneal_strategy": TEXT,
        },
    )


def _has_whole_weights(strategy: Strategy) -> bool:
    return isinstance(strategy, SingleDeviceStrategy | DDPStrategy)


def check_optimizer_on_load(optimizer: torch.optim.Optimizer, strategy: Strategy) -> None:
    """Let the optimizer compare a checkpoint's state with its parameters: PyTorch does not, and a step may crash."""
    if _has_whole_weights(strategy):
        optimizer.register_load_state_dict_pre_hook(_checked)


def _checked(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> dict[str, Any]:
    """The state as it may be loaded: of the parameters' shapes, computed as this run computes."""
    name = "the checkpoint cannot be resumed: optimizer_states.0"
    groups = saved["param_groups"]
    if [len(group["params"]) for group in groups] != [len(group["params"]) for group in optimizer.param_groups]:
        raise UserError(f"{name}.param_groups has other numbers of parameters than this run's optimizer")
    expected: dict[Any, Description] = {}
    for group, own in zip(groups, optimizer.param_groups, strict=True):
        for index, parameter in zip(group["params"], own["params"], strict=True):
            one = tensor(parameter.shape, FLOATS)
            of_adamw = {"step": _STEP, "exp_avg": one, "exp_avg_sq": one}
            expected[index] = Record(of_adamw if "betas" in own else {"momentum_buffer": one})
    state = {index: one for index, one in saved["state"].items() if one}  # none before a parameter's first gradient
    check(state, Record(optional=expected), f"{name}.state")
    kept = [
        group | {key: own[key] for key in _OF_THIS_RUN if key in own}
        for group, own in zip(groups, optimizer.param_groups, strict=True)
    ]
    return saved | {"param_groups": kept}
