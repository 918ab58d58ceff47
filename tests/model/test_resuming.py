"""An optimizer takes the state of its own parameters only: a step on another would end the process."""

import copy

import pytest
import torch
from lightning.pytorch.strategies import FSDPStrategy, SingleDeviceStrategy

from lai.config.compose import compose_run
from lai.host.errors import UserError
from lai.model.optimizers import build_optimizer
from lai.model.resuming import check_optimizer_on_load
from lai.model.transformer import ModelConfig, Transformer

CONFIG = ModelConfig(dim=32, hidden_dim=64, n_layers=1, n_heads=2, n_kv_heads=2, vocab_size=300, max_seq_len=16)


def optimizer_of(name, strategy=None, fused=True):
    torch.manual_seed(0)
    model = Transformer(CONFIG)
    optimizer = build_optimizer(model, compose_run([f"optimizer={name}"]).optimizer, fused=fused)
    check_optimizer_on_load(optimizer, strategy or SingleDeviceStrategy())
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    return optimizer


@pytest.fixture(params=["adamw", "muon"])
def saved(request):
    optimizer = optimizer_of(request.param)
    optimizer.step()
    return request.param, copy.deepcopy(optimizer.state_dict())


def test_the_state_of_the_same_optimizer_is_loaded(saved):
    name, state = saved
    optimizer = optimizer_of(name)
    optimizer.load_state_dict(state)
    for index, moments in optimizer.state_dict()["state"].items():
        assert moments.keys() == state["state"][index].keys()
        assert all(torch.equal(value, state["state"][index][key]) for key, value in moments.items())
    optimizer.step()
    del state["state"][0]  # as of a weight that has had no gradient yet
    optimizer = optimizer_of(name)
    optimizer.load_state_dict(state)
    assert optimizer.state_dict()["state"].keys() == state["state"].keys()


@pytest.mark.parametrize("edit", ["shape", "dtype", "missing", "extra", "other parameter", "groups"])
def test_another_state_is_refused_before_a_step(saved, edit):
    name, state = saved
    moments = state["state"][0]
    key = "exp_avg" if name == "adamw" else "momentum_buffer"
    if edit == "shape":
        moments[key] = moments[key][:-1].clone()
    elif edit == "dtype":
        moments[key] = moments[key].long()
    elif edit == "missing":
        moments["other"] = moments.pop(key)
    elif edit == "extra":
        moments["more"] = torch.ones(1)
    elif edit == "other parameter":
        state["state"][99] = moments
    else:
        state["param_groups"][0]["params"].pop()
    with pytest.raises(UserError, match=r"^the checkpoint cannot be resumed: optimizer_states\.0\.") as raised:
        optimizer_of(name).load_state_dict(state)
    assert "\n" not in str(raised.value)


def test_how_a_step_is_computed_is_this_runs_own(saved):
    """A fused step of float16 unscales the gradients too late, and a checkpoint of bfloat16 says that it is fused."""
    name, state = saved
    optimizer = optimizer_of(name, fused=False)
    optimizer.load_state_dict(state)
    assert state["param_groups"][-1]["fused"] is True and optimizer.param_groups[-1]["fused"] is False
    assert optimizer.param_groups[-1]["betas"] == state["param_groups"][-1]["betas"]


def test_shards_are_not_compared_with_whole_weights():
    assert not optimizer_of("adamw", FSDPStrategy())._optimizer_load_state_dict_pre_hooks
