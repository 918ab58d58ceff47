"""A step that is not finite changes nothing; a finite one is bit by bit what it is without being judged."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from lai.config.schema import OptimizerSettings
from lai.model.finite import FiniteSteps, spread
from lai.model.optimizers import build_optimizer

SETTINGS = {
    "lr": 0.01, "embedding_lr": 0.02, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1,
}  # fmt: skip


def made(name):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Embedding(7, 8), nn.Linear(8, 16, bias=False), nn.Linear(16, 8, bias=False))
    return module, build_optimizer(module, OptimizerSettings(name=name, **SETTINGS))


def step(module, optimizer, seed, *, factor=1.0, verdict=None):
    """One step; `verdict` is what the optimizer finds on its device: None, 0.0 or 1.0."""
    optimizer.zero_grad()
    loss = module(torch.arange(7)).square().sum() * factor * seed
    loss.backward()
    if verdict is not None:
        optimizer.found_inf = torch.tensor(verdict)
    optimizer.step()


def contents(module, optimizer):
    moments = [
        torch.as_tensor(value).clone() for state in optimizer.state_dict()["state"].values() for value in state.values()
    ]
    return [*(weight.detach().clone() for weight in module.parameters()), *moments]


def are_equal(one, other):
    return len(one) == len(other) and all(map(torch.equal, one, other))


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_verdict_on_the_device_skips_the_step_and_nothing_else(name):
    module, optimizer = made(name)
    plain, plain_optimizer = made(name)
    for seed in (1, 2, 3):
        step(module, optimizer, seed, verdict=0.0)
        step(plain, plain_optimizer, seed)
    before = contents(module, optimizer)
    assert are_equal(before, contents(plain, plain_optimizer))
    step(module, optimizer, 4, factor=math.nan, verdict=1.0)
    assert are_equal(before, contents(module, optimizer))
    step(module, optimizer, 5, verdict=0.0)
    step(plain, plain_optimizer, 5)
    assert are_equal(contents(module, optimizer), contents(plain, plain_optimizer))


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_verdict_on_the_cpu_skips_the_step_and_is_known_at_once(name):
    module, optimizer = made(name)
    step(module, optimizer, 1)
    before, finite = contents(module, optimizer), FiniteSteps()
    for norm, in_row in ((math.nan, 1), (math.inf, 2), (1.0, 0), (-math.inf, 1)):
        for parameter in module.parameters():
            parameter.grad = torch.zeros_like(parameter)
        finite.judge(torch.tensor(norm), module, optimizer, scales_loss=False)
        if in_row:
            optimizer.step()
        assert (finite.in_row, finite.is_late) == (in_row, False)
    assert finite.skipped == 3
    assert are_equal(before, contents(module, optimizer))


def test_a_verdict_on_the_device_is_read_a_step_later(monkeypatch):
    event = SimpleNamespace(record=lambda: None, synchronize=lambda: None)
    monkeypatch.setattr(torch.cuda, "Event", lambda: event)
    _, optimizer = made("adamw")
    finite, seen = FiniteSteps(), []
    finite.resume_from(7)
    for is_bad, is_spike in ((False, False), (True, False), (False, True), (False, False), (True, False)):
        finite._judge_on_device(torch.tensor(is_bad), torch.tensor(is_spike), optimizer, False)
        seen.append((finite.skipped, finite.in_row, finite.spikes, finite.is_late, float(optimizer.found_inf)))
    assert seen == [(7, 0, 0, True, 0), (7, 0, 0, True, 1), (8, 1, 0, True, 1), (9, 2, 1, True, 0), (9, 0, 1, True, 1)]
    finite.read()
    assert (finite.skipped, finite.in_row, finite.spikes, finite.is_late) == (10, 1, 1, False)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_makes_all_gradients_so(value):
    weight = torch.ones(3, requires_grad=True)
    spread(weight.sum() * 0 + value).backward()
    assert weight.grad.isnan().all()


def test_a_finite_loss_has_its_own_gradients():
    found, expected = (torch.linspace(-3, 3, 50).requires_grad_() for _ in range(2))
    spread((found.sin() * found.exp()).sum()).backward()
    (expected.sin() * expected.exp()).sum().backward()
    assert torch.equal(found.grad, expected.grad)
