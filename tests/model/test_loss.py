"""The loss in parts against PyTorch's own in one piece."""

import pytest
import torch
import torch.nn.functional as F

from lai.model.loss import linear_cross_entropy
from lai.model.transformer import ModelConfig, Transformer
from lai.tokenizer.targets import IGNORE_INDEX


def drawn(rows, ignored=0.2):
    torch.manual_seed(0)
    hidden = torch.randn(rows, 24, requires_grad=True)
    weight = torch.randn(50, 24, requires_grad=True)
    targets = torch.randint(50, (rows,)).masked_fill(torch.rand(rows) < ignored, IGNORE_INDEX)
    return hidden, weight, targets


def whole(hidden, weight, targets):
    return F.cross_entropy(F.linear(hidden, weight).float(), targets, ignore_index=IGNORE_INDEX, reduction="sum")


@pytest.mark.parametrize("rows", [1, 1023, 1025, 3000])
@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("cached", [1 << 18, 5_000, 10])
def test_loss_and_gradients_equal_unchunked_cross_entropy(rows, dtype, cached, monkeypatch):
    monkeypatch.setattr("lai.model.loss._CACHED_ELEMENTS", cached)  # of 50 a row: all rows, a hundred, less than one
    hidden, weight, targets = drawn(rows)
    found, expected = [], []
    for loss_of, results in ((linear_cross_entropy, found), (whole, expected)):
        with torch.autocast("cpu", dtype, enabled=dtype is not None):
            loss = loss_of(hidden, weight, targets)
        results += [loss.detach(), *torch.autograd.grad(loss / 7, (hidden, weight))]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == torch.float32
        precision = 1e-5 if dtype is None else 1e-2  # bfloat16 keeps eight bits, and parts are rounded one by one
        torch.testing.assert_close(ours, theirs, rtol=precision, atol=precision * float(theirs.abs().max()))


def test_targets_whose_probability_is_0_in_float32():
    hidden, weight, targets = drawn(40)
    with torch.no_grad():
        hidden *= 100
        assert (F.linear(hidden, weight).softmax(1).gather(1, targets.clamp(min=0)[:, None]) == 0).any()
    torch.testing.assert_close(linear_cross_entropy(hidden, weight, targets), whole(hidden, weight, targets))


def test_ignored_rows_have_no_gradient_and_no_loss():
    hidden, weight, _ = drawn(40)
    loss = linear_cross_entropy(hidden, weight, torch.full((40,), IGNORE_INDEX))
    loss.backward()
    assert loss == 0
    assert not hidden.grad.any() and not weight.grad.any()


def test_only_requested_gradients_are_computed():
    hidden, weight, targets = drawn(40)
    with torch.no_grad():
        loss = linear_cross_entropy(hidden, weight, targets)
    assert not loss.requires_grad
    torch.testing.assert_close(loss, whole(hidden, weight, targets).detach())


@pytest.mark.parametrize("tied", [True, False])
def test_network_gives_the_loss_of_its_logits(tied):
    torch.manual_seed(0)
    config = ModelConfig(
        dim=32, hidden_dim=64, n_layers=2, n_heads=4, n_kv_heads=2, vocab_size=61, max_seq_len=16, tie_embeddings=tied
    )
    network = Transformer(config)
    tokens, targets = torch.randint(61, (2, 3, 16))
    targets[0, 4] = IGNORE_INDEX
    expected = F.cross_entropy(network(tokens).flatten(0, 1), targets.flatten(), reduction="sum")
    found = network(tokens, targets=targets)
    torch.testing.assert_close(found, expected)
    parameters = list(network.parameters())
    for ours, theirs in zip(
        torch.autograd.grad(found, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rows", [40, 3000])
def test_a_frozen_output_matrix_gets_no_gradient_and_changes_no_other(rows):
    hidden, weight, targets = drawn(rows)
    expected = torch.autograd.grad(linear_cross_entropy(hidden, weight, targets), hidden)
    frozen = weight.detach()
    found = torch.autograd.grad(linear_cross_entropy(hidden, frozen, targets), hidden)
    assert torch.equal(found[0], expected[0]) and frozen.grad is None
