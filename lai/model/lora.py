"""LoRA: low-rank factors of the matrices train, and the weights themselves stay as they are (Hu et al. 2021).

A matrix W (out, in) acts as W + alpha / rank · B·A, with A (rank, in) and B (out, rank). B begins with zeros, so the
network begins as it was. Hugging Face's PEFT has the same formula and the same first values.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lai.config.schema import LoraSettings
from lai.host.errors import UserError
from lai.model.transformer import ModelConfig, Transformer

_MATRICES = {"q": "attn.wq", "k": "attn.wk", "v": "attn.wv", "o": "attn.wo"} | {
    name: f"ffn.w_{name}" for name in ("gate", "up", "down")
}


class LowRankLinear(nn.Module):
    """A matrix with factors, in place of an `nn.Linear`; the matrix keeps its name, `weight`.

    The factors are applied one after the other: W + alpha / rank · B·A is never formed, and W needs no gradient.

    Args:
        base: the linear layer to take the matrix of; it has no bias.
        generator: what A is drawn with.
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = base.weight
        self.scale = alpha / rank
        bound = 1 / math.sqrt(base.in_features)  # as PEFT draws it
        first = torch.rand(rank, base.in_features, generator=generator) * (2 * bound) - bound
        self.lora_a = nn.Parameter(first.to(base.weight))
        self.lora_b = nn.Parameter(base.weight.new_zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        inner = F.linear(x, self.lora_a) * self.scale  # (…, rank)
        return F.linear(x, self.weight) + F.linear(inner, self.lora_b)


def add_factors(network: Transformer, lora: LoraSettings, seed: int) -> None:
    """Freeze a network's weights, embedding and norms included, and give its matrices factors, in place.

    The factors are drawn from `seed` by a generator of their own: other random numbers of the run stay as they are.
    """
    network.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for layer in network.layers:
        for target in lora.targets:
            path, _, name = _MATRICES[target].rpartition(".")
            owner = layer.get_submodule(path)
            setattr(owner, name, LowRankLinear(getattr(owner, name), lora.rank, lora.alpha, generator))


def factor_shapes(config: ModelConfig, lora: LoraSettings) -> Iterator[tuple[str, tuple[int, int]]]:
    """The names and shapes of the factors in a network of this shape."""
    dim, kv_dim, hidden = config.dim, config.kv_dim, config.hidden_dim
    sides = {"q": (dim, dim), "k": (kv_dim, dim), "v": (kv_dim, dim), "o": (dim, dim)}
    sides |= {"gate": (hidden, dim), "up": (hidden, dim), "down": (dim, hidden)}
    for layer in range(config.n_layers):
        for target in lora.targets:
            rows, cols = sides[target]
            prefix = f"layers.{layer}.{_MATRICES[target]}."
            yield prefix + "lora_a", (lora.rank, cols)
            yield prefix + "lora_b", (rows, lora.rank)


def factor_count(config: ModelConfig, lora: LoraSettings) -> int:
    """The number of parameters in the factors: those that train."""
    return sum(rows * cols for _, (rows, cols) in factor_shapes(config, lora)) if lora.rank else 0


def trained(network: nn.Module) -> tuple[int, int]:
    """The numbers of parameters that train, and of all."""
    counts = [(parameter.numel(), parameter.requires_grad) for parameter in network.parameters()]
    return sum(number for number, trains in counts if trains), sum(number for number, _ in counts)


def check_same_factors(saved: Mapping[str, Any] | None, lora: LoraSettings | None) -> None:
    """Refuse to resume a checkpoint whose factors are others than the run's.

    Args:
        saved: the settings in the checkpoint; None: it has no factors.

    Raises:
        UserError: one has factors and the other has not, or their settings differ.
    """
    ours = None if lora is None else asdict(lora)
    if saved == ours:
        return
    remedy = "use the same model.lora settings" if saved else "begin with its weights instead: init_from=FILE"
    raise UserError(f"the checkpoint has {_described(saved)}, this run has {_described(ours)}; {remedy}")


def _described(lora: Mapping[str, Any] | None) -> str:
    if lora is None:
        return "no LoRA"
    return f"LoRA of rank {lora['rank']}, alpha {lora['alpha']:g}, targets {' '.join(lora['targets'])}"


def merged(weights: Mapping[str, Tensor], lora: LoraSettings) -> dict[str, Tensor]:
    """The weights of a plain network that computes the same: W + alpha / rank · B·A for each matrix with factors.

    The sum is computed in float64 on the CPU and rounded once: every machine gets the same bits.

    Args:
        weights: by the names of a network with factors, or without: then they stay as they are.
    """
    plain = {name: weight for name, weight in weights.items() if not name.endswith((".lora_a", ".lora_b"))}
    for name in weights:
        if name.endswith(".lora_a"):
            prefix = name.removesuffix("lora_a")
            first, second = (weights[prefix + factor].detach().cpu().double() for factor in ("lora_a", "lora_b"))
            weight = plain[prefix + "weight"].detach()
            change = second @ first * (lora.alpha / lora.rank)
            plain[prefix + "weight"] = (weight.cpu().double() + change).to(weight.dtype)
    return plain
