"""Low-rank factors against the formula in numpy, against full gradients, and counted by hand."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from toy_lora import fill_factors
from toy_network import network

from lai.config.compose import compose_run
from lai.config.schema import LORA_TARGETS, LoraSettings
from lai.model.lora import add_factors, factor_count, factor_shapes, merged, trained
from lai.model.optimizers import build_optimizer
from lai.model.transformer import ModelConfig, Transformer

CONFIG = ModelConfig(dim=32, hidden_dim=48, n_layers=2, n_heads=4, n_kv_heads=2, vocab_size=60, max_seq_len=32)
LORA = LoraSettings(rank=4, alpha=10.0)
MATRICES = {"q": "attn.wq", "k": "attn.wk", "v": "attn.wv", "o": "attn.wo"}
MATRICES |= {"gate": "ffn.w_gate", "up": "ffn.w_up", "down": "ffn.w_down"}


def lora_network(lora=LORA, seed=0):
    model = network(CONFIG)
    add_factors(model, lora, seed)
    return model


def tokens(rows=3):
    return torch.randint(CONFIG.vocab_size, (rows, 20), generator=torch.Generator().manual_seed(1))


def summed_by_numpy(weights, lora):
    """The weights of a plain network: W + alpha / rank · B·A, in numpy."""
    arrays = {name: weight.detach().numpy().astype(np.float64) for name, weight in weights.items()}
    plain = {name: array for name, array in arrays.items() if ".lora_" not in name}
    for layer in range(CONFIG.n_layers):
        for target in lora.targets:
            prefix = f"layers.{layer}.{MATRICES[target]}."
            change = np.einsum("or,ri->oi", arrays[prefix + "lora_b"], arrays[prefix + "lora_a"])
            plain[prefix + "weight"] = plain[prefix + "weight"] + lora.alpha / lora.rank * change
    return {name: torch.from_numpy(array).float() for name, array in plain.items()}


def plain_network(weights):
    model = Transformer(CONFIG)
    model.load_state_dict(weights)
    return model.eval()


def test_a_network_with_new_factors_computes_what_it_did_before() -> None:
    with torch.no_grad():
        assert torch.equal(lora_network()(tokens()), network(CONFIG)(tokens()))


@pytest.mark.parametrize("targets", [LORA_TARGETS, ("q", "v"), ("down",)])
def test_a_network_with_factors_computes_what_the_formula_says(targets) -> None:
    lora = LoraSettings(rank=3, alpha=7.0, targets=[*targets])
    model = fill_factors(lora_network(lora))
    before = network(CONFIG)(tokens())
    with torch.no_grad():
        found, expected = model(tokens()), plain_network(summed_by_numpy(model.state_dict(), lora))(tokens())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert (found - before).abs().max() > 0.1


def test_merged_weights_are_those_of_the_formula_and_give_the_same_logits() -> None:
    model = fill_factors(lora_network())
    weights = merged(model.state_dict(), LORA)
    expected = summed_by_numpy(model.state_dict(), LORA)
    assert [*weights] == [*network(CONFIG).state_dict()]
    for name, weight in weights.items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=1e-7)
    with torch.no_grad():
        torch.testing.assert_close(plain_network(weights)(tokens()), model(tokens()), rtol=1e-4, atol=1e-4)


def test_weights_without_factors_stay_as_they_are() -> None:
    weights = network(CONFIG).state_dict()
    found = merged(weights, LORA)
    assert [*found] == [*weights] and all(found[name] is weight for name, weight in weights.items())


def test_factors_have_the_gradients_that_the_chain_rule_gives_them() -> None:
    """W + s·B·A has the gradient G of a full matrix: then B has s·G·Aᵀ, and A has s·Bᵀ·G."""
    model = fill_factors(lora_network())
    full = plain_network(merged(model.state_dict(), LORA))
    for one in (model, full):
        one(tokens(), targets=tokens().roll(-1, 1)).backward()
    scale, factors = LORA.alpha / LORA.rank, dict(model.named_parameters())
    for name, parameter in full.named_parameters():
        prefix = name.removesuffix("weight")
        if prefix + "lora_a" in factors:
            a, b = factors[prefix + "lora_a"], factors[prefix + "lora_b"]
            torch.testing.assert_close(b.grad, scale * parameter.grad @ a.T, rtol=1e-3, atol=1e-3)
            torch.testing.assert_close(a.grad, scale * b.T @ parameter.grad, rtol=1e-3, atol=1e-3)


def test_frozen_weights_keep_no_gradient() -> None:
    model = lora_network()
    model(tokens(), targets=tokens()).backward()
    have = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert have == {name for name, _ in factor_shapes(CONFIG, LORA)}


@pytest.mark.parametrize("targets", [LORA_TARGETS, ("o", "k")])
def test_only_the_factors_train_and_their_shapes_are_known_before(targets) -> None:
    lora = LoraSettings(rank=3, targets=[*targets])
    model = lora_network(lora)
    shapes = {name: tuple(one.shape) for name, one in model.named_parameters() if one.requires_grad}
    assert shapes == dict(factor_shapes(CONFIG, lora)) and len(shapes) == 2 * 2 * len(targets)
    count = sum(rows * cols for rows, cols in shapes.values())
    assert trained(model) == (count, count + CONFIG.parameter_counts()[0])
    assert factor_count(CONFIG, lora) == count and factor_count(CONFIG, LoraSettings()) == 0


def test_factors_are_drawn_from_the_seed_and_no_other_number_is() -> None:
    model = network(CONFIG)
    state = torch.get_rng_state()
    add_factors(model, LORA, 7)
    assert torch.equal(torch.get_rng_state(), state)
    again, other = lora_network(seed=7), lora_network(seed=8)
    for name, factor in model.named_parameters():
        if name.endswith("lora_a"):
            assert torch.equal(factor, again.get_parameter(name))
            assert not torch.equal(factor, other.get_parameter(name))
            bound = 1 / math.sqrt(factor.shape[1])  # of U(-bound, bound), which kaiming_uniform_(a=sqrt(5)) draws from
            assert float(factor.detach().abs().max()) <= bound
            assert float(factor.detach().std()) == pytest.approx(bound / math.sqrt(3), rel=0.25)
        elif name.endswith("lora_b"):
            assert not bool(factor.any())


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_the_optimizer_of_nano_has_the_state_of_the_factors_alone(name) -> None:
    """Bytes of state for nano with rank 8: AdamW has two moments and a step a parameter, Muon one momentum."""
    run = compose_run(["model=nano", f"optimizer={name}"])
    config = ModelConfig.of(run.model, 1000)
    lora = LoraSettings(rank=8)
    sizes = {}
    for which in ("full", "lora"):
        model = Transformer(config)
        if which == "lora":
            add_factors(model, lora, 0)
        optimizer = build_optimizer(model, run.optimizer)
        model(torch.zeros(1, 4, dtype=torch.long), targets=torch.ones(1, 4, dtype=torch.long)).sum().backward()
        optimizer.step()
        states = [one for state in optimizer.state.values() for one in state.values()]
        sizes[which] = sum(one.numel() * one.element_size() for one in states)
    # 4 layers: q, k, v, o have sides of 128, the others of 128 and 384.
    elements = 4 * 8 * (4 * (128 + 128) + 3 * (128 + 384))
    assert elements == factor_count(config, lora) == 81_920
    assert sizes["lora"] == (8 * elements + 4 * 2 * 4 * 7 if name == "adamw" else 4 * elements)
    assert sizes["lora"] <= sizes["full"] / 3


def test_activations_that_are_computed_again_give_the_same_gradients() -> None:
    gradients = []
    for again in (False, True):
        model = fill_factors(lora_network()).train()
        model.recomputes_activations = again
        model(tokens(), targets=tokens()).backward()
        gradients.append({name: one.grad for name, one in model.named_parameters() if one.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name])


@pytest.mark.parametrize("compile_", [Transformer.compile, partial(Transformer.compile_around_attention, rows=3)])
def test_a_compiled_network_with_packed_documents_has_the_same_loss_and_gradients(compile_) -> None:
    model = fill_factors(lora_network())
    documents = torch.arange(20).expand(3, -1) // 7
    factors = [parameter for parameter in model.parameters() if parameter.requires_grad]
    results = []
    for _ in range(2):
        loss = model(tokens(), documents, targets=tokens())
        results.append((loss, *torch.autograd.grad(loss, factors)))
        compile_(model, backend="eager")
    with torch.no_grad():
        merged_loss = plain_network(merged(model.state_dict(), LORA))(tokens(), documents, targets=tokens())
    torch.testing.assert_close(results[0][0].detach(), merged_loss, rtol=1e-5, atol=0)
    for plain, compiled in zip(*results, strict=True):
        torch.testing.assert_close(compiled, plain, rtol=1e-4, atol=1e-5 * plain.abs().max().item())


def test_factors_learn_under_autocast_in_float32() -> None:
    model = fill_factors(lora_network())
    losses = []
    for dtype in (None, torch.bfloat16):
        model.zero_grad()
        with torch.autocast("cpu", dtype, enabled=dtype is not None):
            loss = model(tokens(), targets=tokens())
        loss.backward()
        losses.append(float(loss.detach()))
        assert all(one.grad.dtype == torch.float32 for one in model.parameters() if one.requires_grad)
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
