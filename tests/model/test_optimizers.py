"""The optimizer's groups and the learning rate against values computed by hand."""

from dataclasses import replace

import pytest
import torch

from lai.config.schema import OptimizerSettings, ScheduleSettings
from lai.model.optimizers import build_optimizer, learning_rate_factor, orthogonalize
from lai.model.transformer import ModelConfig, Transformer

ADAMW = OptimizerSettings(
    name="adamw", lr=0.1, embedding_lr=0.3, beta1=0.9, beta2=0.95, eps=1e-8, weight_decay=0.0, momentum=0.9
)
MUON = replace(ADAMW, name="muon")


def factor_at(progress, name="linear", warmup=0.1, final=0.2, decay=1.0):
    schedule = ScheduleSettings(name=name, warmup_fraction=warmup, final_fraction=final, decay_fraction=decay)
    return learning_rate_factor(progress, schedule)


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
def test_the_learning_rate_follows_its_schedule(progress, decay, expected):
    assert factor_at(progress, decay) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("progress", "expected"), [(0.05, 0.5), (0.1, 1.0), (0.6, 1.0), (0.7, 1.0), (0.85, 0.6), (1.0, 0.2)]
)
@pytest.mark.parametrize("name", ["linear", "wsd"])
def test_learning_rate_is_stable_before_it_decays(progress, expected, name):
    assert factor_at(progress, name, decay=0.3) == pytest.approx(expected)


def test_decay_does_not_begin_before_warm_up_ends():
    assert factor_at(0.5, warmup=0.5, final=0.0, decay=0.9) == 1.0
    assert factor_at(0.75, warmup=0.5, final=0.0, decay=0.9) == pytest.approx(0.5)


def test_without_warm_up_it_starts_at_the_peak():
    assert factor_at(0.0, warmup=0.0, final=0.0) == 1.0


def test_matrices_decay_norms_and_the_embedding_do_not():
    network = Transformer(
        ModelConfig(dim=32, hidden_dim=64, n_layers=2, n_heads=2, n_kv_heads=1, vocab_size=50, max_seq_len=8)
    )
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    optimizer = build_optimizer(network, replace(ADAMW, weight_decay=0.5))
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in network.named_parameters():
        shrink = 1.0 if "norm" in name or name == "token_embed.weight" else 1 - 0.1 * 0.5
        torch.testing.assert_close(parameter.detach(), before[name] * shrink)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_the_embedding_and_the_norms_have_a_rate_of_their_own_and_an_untied_output_has_not(name):
    config = ModelConfig(
        dim=32, hidden_dim=64, n_layers=1, n_heads=2, n_kv_heads=1, vocab_size=50, max_seq_len=8, tie_embeddings=False
    )
    network = Transformer(config)
    optimizer = build_optimizer(network, replace(ADAMW, name=name))
    rates = {id(parameter): group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
    found = {name: rates.pop(id(parameter)) for name, parameter in network.named_parameters()}
    assert not rates
    assert found == {name: 0.3 if "norm" in name or name == "token_embed.weight" else 0.1 for name in found}


def test_fsdp_which_makes_every_parameter_a_vector_changes_no_group():
    config = ModelConfig(dim=32, hidden_dim=64, n_layers=2, n_heads=2, n_kv_heads=1, vocab_size=50, max_seq_len=8)
    network, flat = Transformer(config), Transformer(config)
    for module in flat.modules():
        if hasattr(module, "weight"):
            module.weight = torch.nn.Parameter(module.weight.detach().flatten())
    groups, flat_groups = (build_optimizer(of, ADAMW).param_groups for of in (network, flat))
    assert [len(group["params"]) for group in flat_groups] == [len(group["params"]) for group in groups]
    assert [group["lr"] for group in flat_groups] == [0.1, 0.3]


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 6, 20), (2, 20, 6)])
def test_orthogonalize_keeps_the_directions_and_evens_out_their_sizes(shape, monkeypatch):
    monkeypatch.setattr("lai.model.optimizers.multiplies_bf16", lambda: False)
    generator = torch.Generator().manual_seed(0)
    u, _, vt = torch.linalg.svd(torch.randn(shape, generator=generator), full_matrices=False)
    sizes = torch.linspace(1.0, 0.2, min(shape[1:]))
    made = orthogonalize(u * sizes @ vt)
    # In the basis of the directions nothing but their sizes is left, all within the bounds of Jordan et al.
    inner = u.mT @ made @ vt.mT
    diagonal = inner.diagonal(dim1=1, dim2=2)
    assert (inner - torch.diag_embed(diagonal)).abs().max() < 1e-4
    assert diagonal.min() > 0.65 and diagonal.max() < 1.25


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 6, 20), (2, 20, 6)])
def test_each_size_goes_through_the_iteration_by_itself(shape, monkeypatch):
    monkeypatch.setattr("lai.model.optimizers.multiplies_bf16", lambda: False)
    generator = torch.Generator().manual_seed(0)
    u, _, vt = torch.linalg.svd(torch.randn(shape, generator=generator, dtype=torch.float64), full_matrices=False)
    sizes = torch.logspace(0, -6, min(shape[1:]), dtype=torch.float64)
    sizes[-1] = 0.0
    made = orthogonalize((u * sizes @ vt).float()).double()
    expected = sizes / sizes.norm()
    for _ in range(5):
        expected = 3.4445 * expected - 4.7750 * expected**3 + 2.0315 * expected**5
    torch.testing.assert_close(made, u * expected @ vt, atol=3e-3, rtol=0)  # bfloat16 is out by 2e-2


def small_network(seed: int) -> Transformer:
    torch.manual_seed(seed)
    return Transformer(
        ModelConfig(dim=32, hidden_dim=64, n_layers=2, n_heads=2, n_kv_heads=1, vocab_size=50, max_seq_len=8)
    )


def set_gradients(network: Transformer, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def test_muon_steps_as_torch_does_and_adamw_takes_the_rest(monkeypatch):
    monkeypatch.setattr("lai.model.optimizers.multiplies_bf16", lambda: True)  # as torch.optim.Muon always does
    ours, theirs = small_network(0), small_network(0)
    settings = replace(MUON, lr=0.02, embedding_lr=0.05, weight_decay=0.3)
    optimizer = build_optimizer(ours, settings)
    named = dict(theirs.named_parameters())
    matrices = [named[name] for name in named if "norm" not in name and name != "token_embed.weight"]
    muon = torch.optim.Muon(matrices, lr=0.02, weight_decay=0.3, momentum=0.9, adjust_lr_fn="match_rms_adamw")
    others = [named[name] for name in named if "norm" in name or name == "token_embed.weight"]
    adamw = torch.optim.AdamW(others, lr=0.05, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0)
    for step in range(3):
        set_gradients(ours, step)
        set_gradients(theirs, step)
        optimizer.step()
        muon.step()
        adamw.step()
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter, named[name], atol=1e-3, rtol=0)  # both round to bfloat16


def test_muon_in_blocks_steps_as_torch_does_with_a_matrix_for_each_block(monkeypatch):
    monkeypatch.setattr("lai.model.optimizers.multiplies_bf16", lambda: True)
    network = small_network(0)
    optimizer = build_optimizer(network, replace(MUON, lr=0.02, weight_decay=0.3, block_rows=16))
    named = {name: value for name, value in network.named_parameters() if "norm" not in name and "embed" not in name}
    blocks = {name: [torch.nn.Parameter(b.clone()) for b in value.split(16)] for name, value in named.items()}
    assert {len(parts) for parts in blocks.values()} == {1, 2, 4}
    muon = torch.optim.Muon(
        [block for parts in blocks.values() for block in parts],
        lr=0.02, weight_decay=0.3, momentum=0.9, adjust_lr_fn="match_rms_adamw",
    )  # fmt: skip
    for step in range(3):
        set_gradients(network, step)
        for name, parts in blocks.items():
            for block, gradient in zip(parts, named[name].grad.split(16), strict=True):
                block.grad = gradient.clone()
        optimizer.step()
        muon.step()
    for name, parts in blocks.items():
        torch.testing.assert_close(named[name].detach(), torch.cat(parts).detach(), atol=1e-3, rtol=0)


def test_a_matrix_that_blocks_do_not_divide_stays_whole():
    whole, blocks = small_network(0), small_network(0)
    for network, block_rows in ((whole, None), (blocks, 48)):
        set_gradients(network, 0)
        build_optimizer(network, replace(MUON, block_rows=block_rows)).step()
    for one, other in zip(whole.parameters(), blocks.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)


def test_muon_resumes_from_its_saved_state():
    whole, broken = small_network(1), small_network(1)
    settings = replace(MUON, lr=0.01)
    optimizer, before = build_optimizer(whole, settings), build_optimizer(broken, settings)
    for step in range(2):
        for network, stepped in ((whole, optimizer), (broken, before)):
            set_gradients(network, step)
            stepped.step()
    after = build_optimizer(broken, settings)
    after.load_state_dict(before.state_dict())
    for network, stepped in ((whole, optimizer), (broken, after)):
        for group in stepped.param_groups:
            group["lr"] *= 0.5  # as a schedule does
        set_gradients(network, 2)
        stepped.step()
    for one, other in zip(whole.parameters(), broken.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)
