"""Validation on several sources: the loss of each, of each language, and of all by their weights."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Groups:
    """What the batches of a validation are of: `batch["group"]` is the number of one of `names`.

    Args:
        names: of each group its source, and the language of its documents where that is known.
        weights: of each source in `val/loss`, relative to those of the others.
    """

    names: Sequence[tuple[str, str | None]]
    weights: Mapping[str, float]

    def zeros(self) -> Tensor:
        """The sums (groups, 3) before the first batch: nats, tokens, bytes."""
        return torch.zeros(len(self.names), 3, dtype=torch.float64)

    def whole(self, sums: Tensor) -> tuple[float, float, float]:
        """Nats, tokens and bytes of a text in which each source has its weight's share of the tokens, 1 token in all.

        Sources of which no token was validated do not count.
        """
        found = {name: _of(sums, members) for name, members in self._sources()}
        measured = {name: of for name, of in found.items() if of[1]}
        total = sum(self.weights[name] for name in measured)
        shares = {name: self.weights[name] / total for name in measured}
        nats, size = (sum(shares[name] * of[place] / of[1] for name, of in measured.items()) for place in (0, 2))
        return nats, float(bool(measured)), size

    def metrics(self, sums: Tensor) -> dict[str, float]:
        """`val/loss/NAME` in nats a token and `val/bpb/NAME` of each source and each language that has any token.

        A language is that of all documents in it, each token once. A source of a language's name stands for itself.
        """
        metrics: dict[str, float] = {}
        for name, members in (*self._sources(), *self._languages()):
            nats, tokens, size = _of(sums, members)
            if tokens:
                metrics[f"val/loss/{name}"] = nats / tokens
                metrics[f"val/bpb/{name}"] = nats / math.log(2) / max(1, size)
        return metrics

    def _sources(self) -> Iterator[tuple[str, list[int]]]:
        for name in self.weights:
            yield name, [number for number, (source, _) in enumerate(self.names) if source == name]

    def _languages(self) -> Iterator[tuple[str, list[int]]]:
        for name in dict.fromkeys(language for _, language in self.names):
            if name is not None and name not in self.weights:
                yield name, [number for number, (_, language) in enumerate(self.names) if language == name]


def _of(sums: Tensor, members: Sequence[int]) -> tuple[float, float, float]:
    nats, tokens, size = sums[members].sum(0).tolist()
    return nats, tokens, size
