"""The gate of a feed-forward beside the two operations that it stands for."""

import pytest
import torch
import torch.nn.functional as F

from lai.model.gated import gated
from lai.model.transformer import FeedForward, ModelConfig


@pytest.mark.parametrize("activation", ["silu", "gelu"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_results_and_gradients_are_those_of_the_two_operations(activation, dtype):
    torch.manual_seed(0)
    gate, up, weights = (torch.randn(7, 33, dtype=dtype) for _ in range(3))
    found = [gate.clone().requires_grad_(), up.clone().requires_grad_()]
    expected = [gate.clone().requires_grad_(), up.clone().requires_grad_()]
    result = gated(activation, *found)
    plain = getattr(F, activation)(expected[0]) * expected[1]
    assert torch.equal(result, plain)
    (result * weights).sum().backward()
    (plain * weights).sum().backward()
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.grad, other.grad)


@pytest.mark.parametrize("activation", ["silu", "gelu"])
def test_gradients_are_the_slopes(activation):
    torch.manual_seed(0)
    gate, up = (torch.randn(3, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda gate, up: gated(activation, gate, up), (gate, up))


def test_a_feed_forward_keeps_three_tensors_of_its_hidden_width():
    feed_forward = FeedForward(ModelConfig(32, 80, 1, 2, 2, 50, 64))
    kept = {}

    def keep(tensor):
        if tensor.numel() == 2 * 9 * 80:
            kept[tensor.data_ptr()] = tensor  # held, so that no address comes twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        feed_forward(torch.randn(2, 9, 32, requires_grad=True))
    assert len(kept) == 3
