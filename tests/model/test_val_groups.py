"""The loss of sources and languages, and of the whole mixture."""

import math

import pytest
import torch

from lai.model.val_groups import Groups

NAMES = [("wiki", "hu"), ("wiki", None), ("chat", "hu"), ("chat", "en")]


def sums(*rows: tuple[float, float, float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def test_a_source_has_the_mean_of_its_tokens_and_the_whole_that_of_its_weights() -> None:
    groups = Groups(NAMES, {"wiki": 0.75, "chat": 0.25})
    found = sums((20, 10, 30), (10, 5, 15), (3, 1, 4), (9, 2, 8))
    metrics = groups.metrics(found)
    assert metrics["val/loss/wiki"] == pytest.approx(30 / 15)
    assert metrics["val/loss/chat"] == pytest.approx(12 / 3)
    assert metrics["val/bpb/chat"] == pytest.approx(12 / math.log(2) / 12)
    assert metrics["val/loss/hu"] == pytest.approx(23 / 11)
    assert metrics["val/loss/en"] == pytest.approx(9 / 2)
    assert len(metrics) == 8
    nats, tokens, size = groups.whole(found)
    assert nats / tokens == pytest.approx(0.75 * 2 + 0.25 * 4)
    assert nats / size == pytest.approx((0.75 * 2 + 0.25 * 4) / (0.75 * 3 + 0.25 * 4))


def test_a_source_without_a_validated_token_does_not_count() -> None:
    groups = Groups(NAMES, {"wiki": 0.75, "chat": 0.25})
    found = sums((20, 10, 30), (0, 0, 0), (0, 0, 0), (0, 0, 0))
    assert groups.metrics(found).keys() == {"val/loss/wiki", "val/bpb/wiki", "val/loss/hu", "val/bpb/hu"}
    assert groups.whole(found)[:2] == (pytest.approx(2), 1)
    assert groups.whole(groups.zeros()) == (0, 0, 0)


def test_a_source_of_a_languages_name_stands_for_itself() -> None:
    groups = Groups([("hu", "hu"), ("other", "hu"), ("other", "en")], {"hu": 1, "other": 1})
    metrics = groups.metrics(sums((20, 10, 30), (5, 1, 3), (9, 2, 8)))
    assert metrics["val/loss/hu"] == pytest.approx(2)
    assert metrics["val/loss/en"] == pytest.approx(4.5)
