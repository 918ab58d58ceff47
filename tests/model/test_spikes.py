"""A loss is a spike where it lies more than six standard deviations above the last hundred."""

import random
import statistics

import pytest
import torch

from lai.model.spikes import WINDOW, LossWindow

GOOD = torch.tensor(False)


def filled(count):
    """A window that has judged so many losses, and those losses."""
    random_ = random.Random(0)
    losses = [random_.gauss(3, 0.1) for _ in range(count)]
    window = LossWindow()
    assert not any(window.judge(torch.tensor(loss), GOOD) for loss in losses)
    return window, losses


@pytest.mark.parametrize(("deviations", "is_spike"), [(5.9, False), (6.1, True), (-6.1, False), (-50, False)])
def test_a_spike_is_more_than_six_deviations_above_the_mean_of_the_last_hundred(deviations, is_spike):
    window, losses = filled(WINDOW + 40)
    last = losses[-100:]
    loss = statistics.mean(last) + deviations * statistics.stdev(last)
    assert bool(window.judge(torch.tensor(loss), GOOD)) is is_spike
    assert (float(window.losses[-1]) == pytest.approx(loss)) is not is_spike


def test_before_a_hundred_steps_nothing_is_a_spike():
    window, _ = filled(WINDOW - 1)
    assert not window.judge(torch.tensor(1e9), GOOD)


def test_a_step_that_is_skipped_does_not_join_the_window():
    window, _ = filled(WINDOW)
    before = window.losses.clone()
    for loss, is_bad in ((1e9, False), (3.0, True), (float("nan"), True)):
        window.judge(torch.tensor(loss), torch.tensor(is_bad))
    assert torch.equal(window.losses, before)
