"""The network against a forward pass written in numpy from docs/format.md alone."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lai.model.transformer import KVCache, ModelConfig, Transformer, is_causal, rotary_tables, rotate

SMALL = ModelConfig(dim=48, hidden_dim=80, n_layers=3, n_heads=6, n_kv_heads=6, vocab_size=97, max_seq_len=40)
GROUPED = replace(SMALL, n_kv_heads=2)
PRESETS = {
    "nano": (256, 768, 4, 4, 256),
    "tiny": (384, 1536, 8, 6, 512),
    "mini": (512, 2048, 12, 8, 1024),
    "small": (768, 3072, 16, 12, 2048),
}


def random_network(config, seed=0):
    """A network whose weights are all far from their initial values, so that every one of them matters."""
    torch.manual_seed(seed)
    network = Transformer(config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, mean=0.5 if parameter.ndim == 1 else 0.0, std=0.3)
    return network.eval()


def numpy_logits(network, tokens):
    """docs/format.md, "What the weights mean", in float64 and without a line of the code under test."""
    config = network.config
    w = {name: value.detach().numpy().astype(np.float64) for name, value in network.named_parameters()}
    heads, kv_heads, width = config.n_heads, config.n_kv_heads, config.dim // config.n_heads
    length = len(tokens)

    def norm(x, weight):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + config.norm_eps) * weight

    def act(x):
        if config.activation == "silu":
            return x / (1 + np.exp(-x))
        return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))

    def turn(x):  # (T, heads, width)
        out = x.copy()
        for position in range(length):
            for i in range(width // 2):
                angle = position * config.rope_theta ** (-2 * i / width)
                a, b = x[position, :, i], x[position, :, i + width // 2]
                out[position, :, i] = a * math.cos(angle) - b * math.sin(angle)
                out[position, :, i + width // 2] = a * math.sin(angle) + b * math.cos(angle)
        return out

    x = w["token_embed.weight"][tokens]
    for layer in range(config.n_layers):
        p = f"layers.{layer}."
        h = norm(x, w[p + "attn_norm.weight"])
        q = turn((h @ w[p + "attn.wq.weight"].T).reshape(length, heads, width))
        k = turn((h @ w[p + "attn.wk.weight"].T).reshape(length, kv_heads, width))
        v = (h @ w[p + "attn.wv.weight"].T).reshape(length, kv_heads, width)
        mixed = np.zeros((length, heads, width))
        for head in range(heads):
            source = head // (heads // kv_heads)
            for t in range(length):
                scores = k[: t + 1, source] @ q[t, head] / math.sqrt(width)
                weights = np.exp(scores - scores.max())
                mixed[t, head] = weights @ v[: t + 1, source] / weights.sum()
        x = x + mixed.reshape(length, -1) @ w[p + "attn.wo.weight"].T
        h = norm(x, w[p + "ffn_norm.weight"])
        gate = act(h @ w[p + "ffn.w_gate.weight"].T)
        x = x + (gate * (h @ w[p + "ffn.w_up.weight"].T)) @ w[p + "ffn.w_down.weight"].T
    output = w.get("output.weight", w["token_embed.weight"])
    return norm(x, w["final_norm.weight"]) @ output.T


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        GROUPED,
        replace(SMALL, tie_embeddings=False, activation="gelu"),
        replace(GROUPED, rope_theta=500.0, norm_eps=1e-2),
    ],
)
def test_logits_equal_a_numpy_forward_pass(config):
    network = random_network(config)
    tokens = torch.randint(config.vocab_size, (2, 23))
    with torch.no_grad():
        found = network(tokens).double().numpy()
    for row in range(2):
        expected = numpy_logits(network, tokens[row].numpy())
        assert np.abs(found[row] - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("config", [SMALL, GROUPED])
def test_token_by_token_with_a_cache_equals_all_at_once(config):
    network = random_network(config)
    tokens = torch.randint(config.vocab_size, (1, 30))
    cache = KVCache(config)
    with torch.no_grad():
        expected = network(tokens)
        parts = [network(part, cache=cache) for part in tokens.split([7, 1, 1, 12, 9], dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), expected, rtol=1e-4, atol=1e-4)


def test_packed_documents_have_the_logits_of_documents_alone():
    network = random_network(SMALL)
    first, second = torch.randint(97, (1, 11)), torch.randint(97, (1, 17))
    documents = torch.tensor([[0] * 11 + [1] * 17])
    with torch.no_grad():
        packed = network(torch.cat((first, second), dim=1), documents)
        torch.testing.assert_close(packed[:, :11], network(first), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(packed[:, 11:], network(second), rtol=1e-4, atol=1e-4)


def test_no_token_sees_a_later_one():
    network = random_network(SMALL)
    tokens = torch.randint(97, (1, 20))
    changed = tokens.clone()
    changed[0, 12] = (changed[0, 12] + 1) % 97
    with torch.no_grad():
        before, after = network(tokens), network(changed)
    assert torch.equal(before[:, :12], after[:, :12])
    assert not torch.allclose(before[:, 12:], after[:, 12:])


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("vocab_size", [600, 8000])
def test_an_untrained_network_has_the_loss_of_guessing(name, vocab_size):
    dim, hidden_dim, n_layers, n_heads, max_seq_len = PRESETS[name]
    torch.manual_seed(1)
    network = Transformer(
        ModelConfig(
            dim=dim,
            hidden_dim=hidden_dim,
            n_layers=n_layers,
            n_heads=n_heads,
            n_kv_heads=n_heads,
            vocab_size=vocab_size,
            max_seq_len=max_seq_len,
        )
    )
    tokens = torch.randint(vocab_size, (2, 129))
    with torch.no_grad():
        logits = network(tokens[:, :-1])
    loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()).item()
    assert loss == pytest.approx(math.log(vocab_size), rel=0.02)


@pytest.mark.parametrize("config", [SMALL, GROUPED, replace(SMALL, tie_embeddings=False)])
def test_parameter_counts_equal_the_modules(config):
    network = Transformer(config)
    total = sum(parameter.numel() for parameter in network.parameters())
    outside = 97 * 48 * (1 if config.tie_embeddings else 2)
    assert config.parameter_counts() == (total, total - outside)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_heads": 5}, "not divisible by model.n_heads 5"),
        ({"n_kv_heads": 4}, "not divisible by model.n_kv_heads 4"),
        ({"dim": 0}, "model.dim is 0"),
        ({"dim": 18, "n_heads": 6}, "even width"),
        ({"norm_eps": float("nan")}, "model.norm_eps"),
        ({"activation": "relu"}, "model.activation"),
        ({"rope_theta": 1e39}, r"rope_theta is 1e\+39; it must be a positive number of float32"),
        ({"norm_eps": 1e-46}, "norm_eps is 1e-46; it must be a positive number of float32"),
    ],
)
def test_impossible_shapes_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        replace(SMALL, **change)


def test_more_tokens_than_the_context_are_refused():
    with pytest.raises(ValueError, match="41 tokens do not fit into max_seq_len 40"):
        Transformer(SMALL)(torch.zeros(1, 41, dtype=torch.long))


def test_the_gradient_of_a_rotation_is_turned_back():
    """For all x and y, rotate(x) · y is x · gradient: that of a linear map."""
    torch.manual_seed(0)
    cos, sin = (table[:7, None] for table in rotary_tables(SMALL))
    x, y = torch.randn(2, 2, 7, 3, SMALL.head_dim, requires_grad=True)
    turned = rotate(x, cos, sin)
    (back,) = torch.autograd.grad(turned, x, y)
    torch.testing.assert_close((turned * y).sum((-1, -2)), (x * back).sum((-1, -2)))
    torch.testing.assert_close(rotate(back, cos, sin), y)


def test_recomputed_activations_give_the_same_loss_and_gradients():
    network = random_network(GROUPED)
    tokens, targets = torch.randint(97, (2, 2, 20))
    calls, results = [], []
    network.layers[0].register_forward_pre_hook(lambda *_: calls.append(network.recomputes_activations))
    for recomputes in (False, True):
        network.recomputes_activations = recomputes
        loss = network(tokens, torch.arange(20).expand(2, -1) // 7, targets=targets)
        results.append((loss, *torch.autograd.grad(loss, list(network.parameters()))))
    torch.testing.assert_close(*results)
    assert calls == [False, True, True]


@pytest.mark.parametrize("compile_", [Transformer.compile, partial(Transformer.compile_around_attention, rows=2)])
@pytest.mark.parametrize("activation", ["silu", "gelu"])
def test_a_compiled_network_has_the_same_loss_and_gradients(monkeypatch, activation, compile_):
    monkeypatch.setattr("lai.model.loss.MIN_CHUNK_ROWS", 16)  # several parts
    network = random_network(replace(GROUPED, activation=activation))
    tokens, targets = torch.randint(97, (2, 2, 20))
    results = []
    for _ in range(2):
        loss = network(tokens, torch.arange(20).expand(2, -1) // 7, targets=targets)
        results.append((loss, *torch.autograd.grad(loss, list(network.parameters()))))
        compile_(network, backend="eager")  # traced as for any other backend, but no code is made
    # One in rows of documents; compiled as a whole, the other with a mask over whole windows.
    for plain, compiled in zip(*results, strict=True):
        torch.testing.assert_close(compiled, plain, rtol=1e-4, atol=1e-5 * plain.abs().max().item())


def test_is_causal_detects_a_network_that_sees_later_tokens(monkeypatch):
    network = random_network(SMALL)
    assert is_causal(network)
    backwards = lambda rows, queries, keys, values: queries.flip(1).flatten(2)  # noqa: E731
    monkeypatch.setattr("lai.model.document_attention.DocumentRows.attend", backwards)
    assert not is_causal(network)
