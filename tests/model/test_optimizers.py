"""The optimizer's groups and the learning rate against values computed by hand."""

import pytest
import torch

from lai.model.optimizers import build_adamw, learning_rate_factor
from lai.model.transformer import ModelConfig, Transformer


@pytest.mark.parametrize(
    ("progress", "decay", "expected"),
    [
        (0.0, "linear", 0.0),
        (0.05, "linear", 0.5),
        (0.1, "linear", 1.0),
        (0.55, "linear", 0.6),
        (1.0, "linear", 0.2),
        (0.55, "cosine", 0.6),
        (0.325, "cosine", 0.2 + 0.8 * (1 + 2**-0.5) / 2),
        (1.0, "cosine", 0.2),
        (0.05, "constant", 0.5),
        (0.9, "constant", 1.0),
    ],
)
def test_learning_rate(progress, decay, expected):
    factor = learning_rate_factor(progress, decay, warmup_fraction=0.1, final_fraction=0.2)
    assert factor == pytest.approx(expected)


def test_without_warm_up_it_starts_at_the_peak():
    assert learning_rate_factor(0.0, "linear", warmup_fraction=0.0, final_fraction=0.0) == 1.0


def test_matrices_decay_and_norms_do_not():
    network = Transformer(
        ModelConfig(dim=32, hidden_dim=64, n_layers=2, n_heads=2, n_kv_heads=1, vocab_size=50, max_seq_len=8)
    )
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    optimizer = build_adamw(network, lr=0.1, beta1=0.9, beta2=0.95, eps=1e-8, weight_decay=0.5)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in network.named_parameters():
        shrink = 1 - 0.1 * 0.5 if "norm" not in name else 1.0
        torch.testing.assert_close(parameter.detach(), before[name] * shrink)
