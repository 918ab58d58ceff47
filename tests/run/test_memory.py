"""What training is calculated to need, against what PyTorch keeps, and what there is, against made-up machines."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lai.config.schema import LoraSettings
from lai.host.errors import UserError
from lai.model.lora import add_factors, factor_count
from lai.model.transformer import ModelConfig, Transformer
from lai.run import memory
from lai.run.memory import Plan, TrainingShape, largest_batch, needed, places
from lai.train import train

CONFIG = ModelConfig(dim=64, hidden_dim=192, n_layers=3, n_heads=4, n_kv_heads=4, vocab_size=300, max_seq_len=256)


def kept_by_pytorch(network: Transformer, tokens: torch.Tensor, documents: torch.Tensor, half: bool) -> int:
    """The bytes of all memory that is kept for the backward pass, the weights left out."""
    kept: dict[int, torch.UntypedStorage] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = network(tokens, documents, targets=tokens)
        assert loss.requires_grad
    weights = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    return sum(storage.nbytes() for pointer, storage in kept.items() if pointer not in weights)


@pytest.mark.parametrize("length", [20, 60, 250])
@pytest.mark.parametrize(
    ("changes", "half", "recomputes", "rank"), [({}, False, False, 0), ({}, True, False, 0),
                                                ({"n_kv_heads": 2}, False, False, 0), ({}, False, True, 0),
                                                ({}, False, False, 32), ({}, True, False, 8)],
)  # fmt: skip
def test_calculated_activations_match_what_layers_keep(
    length: int, changes: dict[str, int], half: bool, recomputes: bool, rank: int
) -> None:
    config = replace(CONFIG, **changes)
    rows, seq_len = 12, 250
    generator = np.random.default_rng(0)
    sizes = generator.integers(length // 2, length + 1, 2000)
    documents = np.repeat(np.arange(len(sizes)), sizes)[: rows * seq_len].reshape(rows, seq_len)
    pieces = [int(count) for row in documents for count in np.unique(row, return_counts=True)[1]]
    padding, scores, wide = places(np.array(pieces), seq_len)
    network, lora = Transformer(config), LoraSettings(rank=rank)
    if rank:
        add_factors(network, lora, 0)
    network.recomputes_activations = recomputes
    tokens = torch.from_numpy(generator.integers(0, 300, (rows, seq_len)))
    measured = kept_by_pytorch(network, tokens, torch.from_numpy(documents), half)
    shape = TrainingShape(
        config, rows, seq_len, lora, half=half, recomputes=recomputes, padding=padding, scores=scores, wide=wide
    )
    layer = sum(memory._kept_by_a_layer(shape))
    of_layers = 4 * config.dim * config.n_layers if recomputes else layer * config.n_layers
    end = 8 * config.dim + 8 * 3 + 2 * 8 * config.n_heads * (1 + padding)  # where heads go, in 64 bits
    assert measured == pytest.approx(rows * seq_len * (of_layers + end), rel=0.15)


def test_the_state_of_optimizers_is_counted_once_a_weight() -> None:
    big = TrainingShape(replace(CONFIG, dim=1024, hidden_dim=4096, n_layers=8), 1, 8)
    parameters, inner = big.config.parameter_counts()
    # Weights, gradients and AdamW's two moments; Muon has one for the matrices of the layers.
    assert needed(big) == pytest.approx(16 * parameters, rel=0.1)
    assert needed(big) - needed(replace(big, muon=True)) == pytest.approx(4 * inner, rel=0.01)


def test_with_factors_only_they_have_gradients_and_state() -> None:
    big = TrainingShape(replace(CONFIG, dim=1024, hidden_dim=4096, n_layers=8), 1, 8)
    lora = LoraSettings(rank=8)
    (parameters, _), factors = big.config.parameter_counts(), factor_count(big.config, lora)
    assert needed(replace(big, lora=lora)) == pytest.approx(4 * parameters + 16 * factors, rel=0.15)
    assert needed(replace(big, lora=lora)) - needed(replace(big, lora=lora, muon=True)) == 4 * factors


def test_the_largest_batch_fits_and_one_more_row_does_not() -> None:
    shape = TrainingShape(CONFIG, 1, 128)
    for free in (1e8, 3e9, 7e11):
        rows = largest_batch(shape, free)
        assert needed(replace(shape, rows=rows)) <= free < needed(replace(shape, rows=rows + 1))
    assert largest_batch(shape, 1e6) == 0


def test_training_is_refused_above_1_5_times_the_free_memory_an_estimate_at_once() -> None:
    shape = TrainingShape(CONFIG, 1000, 128)
    need = needed(shape)
    Plan(shape, 1.01 * need).check(1000, sure=False)
    Plan(shape, need / 1.4).check(1000, sure=True)
    Plan(shape, None).check(1000, sure=False)
    for free, sure, processes in ((0.99 * need, False, 1), (need / 1.6, True, 1), (1.9 * need, False, 2)):
        plan = Plan(shape, free, processes)
        with pytest.raises(UserError, match=rf"fits is data.batch_size={plan.largest}; trainer.accumulate"):
            plan.check(1000, sure)
        assert plan.largest is not None and 0 < plan.largest < 1000
    with pytest.raises(UserError, match="not even one row fits"):
        Plan(shape, 1e6).check(1000, sure=True)


@pytest.mark.parametrize("estimate", [True, False])
def test_a_batch_that_does_not_fit_is_one_line_before_anything_is_allocated(
    compose_run, text_file, monkeypatch: pytest.MonkeyPatch, estimate: bool
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the model is built")

    monkeypatch.setattr(memory, "available", lambda _: 30e6)
    monkeypatch.setattr("lai.run.build.build_module", never)
    run = compose_run(f"data.path={text_file}", f"+estimate={estimate}", "data.batch_size=100000", "model.n_layers=40")
    with pytest.raises(UserError, match=r"^data.batch_size=100000 x data.seq_len=64 needs about 0\.\d GB") as caught:
        train(run)
    assert "\n" not in str(caught.value)


def test_a_batch_larger_than_the_text_needs_no_more_than_the_text(
    compose_run, text_file, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    """300 lines are a few hundred rows: with data.batch_size=100000 the run works, and is not refused."""
    monkeypatch.setattr(memory, "available", lambda _: 4e9)
    with caplog.at_level("INFO", logger="lai"):
        train(compose_run(f"data.path={text_file}", "+estimate=true", "data.batch_size=100000", "trainer.max_epochs=2"))
    assert "4.0 GB were free; the largest batch that fits is " in caplog.text
