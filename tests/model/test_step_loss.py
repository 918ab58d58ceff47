"""The loss of a step over batches with different numbers of targets, and its gradient, against one batch of all."""

import pytest
import torch
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import nn

from lai.model.step_loss import StepLoss

PROCESS = SingleDeviceStrategy(torch.device("cpu"))


def gradient(step, factors, processes=1):
    """The gradient by `weight` of losses weight x factor, those of a batch in a list, as a trainer adds it up."""
    weight = nn.Parameter(torch.tensor(2.0))
    for batch in factors:
        total = (weight * torch.tensor(batch)).sum()
        (step.add(total, torch.tensor(len(batch)), 8) / len(factors) / processes).backward()
    step.rescale([weight], PROCESS, processes, len(factors))
    return float(weight.grad)


def test_each_target_weighs_the_same_whichever_batch_it_is_in():
    step = StepLoss(by_target=True)
    assert gradient(step, [[1.0, 2.0, 6.0], [7.0]]) == pytest.approx(4.0)
    assert float(step.mean()) == float(step.mean_of_all(PROCESS)) == pytest.approx(2 * 4.0)


def test_usually_each_batch_weighs_the_same():
    step = StepLoss()
    assert gradient(step, [[1.0, 2.0, 6.0], [7.0]]) == pytest.approx(5.0)
    assert float(step.mean()) == float(step.mean_of_all(PROCESS)) == pytest.approx(2 * 5.0)


def test_the_next_batch_begins_another_step():
    step = StepLoss(by_target=True)
    gradient(step, [[1.0, 2.0], [6.0]])
    step.is_over = True
    assert float(step.mean()) == pytest.approx(2 * 3.0)  # until then the step's loss is known
    assert gradient(step, [[5.0], [7.0]]) == pytest.approx(6.0)


@pytest.mark.parametrize("by_target", [False, True])
def test_batches_without_a_target_have_a_loss_and_a_gradient_of_zero(by_target):
    step = StepLoss(by_target)
    assert gradient(step, [[], []]) == 0.0 and float(step.mean()) == 0.0
    step.is_over = True
    expected = 3.0 if by_target else 1.5
    assert gradient(step, [[], [3.0]]) == pytest.approx(expected)


def test_targets_of_several_processes_weigh_the_same(monkeypatch):
    monkeypatch.setattr(PROCESS, "reduce", lambda sums, reduce_op: sums + torch.tensor([14.0, 1.0]))  # another's sums
    step = StepLoss(by_target=True)
    # The gradients of both processes are averaged: that of the other is 7 of 1 target.
    weight = nn.Parameter(torch.tensor(2.0))
    loss = step.add((weight * torch.tensor([1.0, 2.0, 6.0])).sum(), torch.tensor(3), 8)
    ((loss + weight * 7.0 / 8) / 2).backward()
    step.rescale([weight], PROCESS, 2, 1)
    assert float(weight.grad) == pytest.approx(4.0)
    assert float(step.mean_of_all(PROCESS)) == pytest.approx(2 * 4.0)
