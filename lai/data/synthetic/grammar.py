"""Probability distributions built from choices, with exact entropy and exact outcomes.

A grammar is a distribution over derivations. Where different derivations give different texts, as everywhere in this
package (the tests enumerate small grammars to prove it), the entropy of the texts is the sum of the entropies of the
choices: H(A, B) = H(A) + Σ p(a) H(B | a). Weights are whole numbers, so a seed draws the same choices on any platform.
"""

import itertools
import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import cached_property
from typing import Any, Generic, TypeVar

from lai.host.errors import UserError

T = TypeVar("T")
U = TypeVar("U")

Random = Callable[[], float]
"""A source of uniform numbers in [0, 1); `random.Random(seed).random` is stable across Python versions."""


class Distribution(ABC, Generic[T]):
    """Values with exact probabilities."""

    @abstractmethod
    def sample(self, random: Random) -> tuple[T, float]:
        """Draw a value; its log-probability comes with it, in nats."""

    @abstractmethod
    def outcomes(self) -> Iterator[tuple[T, float]]:
        """Every derivation's value and probability; as many as the product of all choices."""

    @cached_property
    @abstractmethod
    def entropy(self) -> float:
        """Of the derivations, in nats: a sum over the grammar, not an estimate."""

    def map(self, function: Callable[[T], U]) -> "Distribution[U]":
        """The distribution of `function(value)`; different values must give different results."""
        return _Mapped(self, function)

    def then(self, function: Callable[[T], "Distribution[U]"]) -> "Distribution[U]":
        """Draw a value, then draw from `function(value)`; the result must determine the value.

        `function` must be pure: it is called once for each value. Entropy visits all values, so draw first what others
        depend on, and put what is independent into `joint`.
        """
        return _Chained(self, function)


class NothingToChoose(UserError):
    """A choice without values: the lexicon is too small for the grammar."""

    def __init__(self) -> None:
        super().__init__("these settings leave the generator nothing to choose from; take more words or hold out less")


class Choice(Distribution[T]):
    """One of several values, with whole-number weights (uniform if none are given).

    Raises:
        NothingToChoose: there is no value, or every weight is 0.
    """

    def __init__(self, values: Sequence[T], weights: Sequence[int] | None = None) -> None:
        if weights is not None:
            assert len(values) == len(weights) and min(weights, default=0) >= 0, (
                "each value has a weight, none negative"
            )
            values = [value for value, weight in zip(values, weights, strict=True) if weight]
            weights = [weight for weight in weights if weight]
        if not values:
            raise NothingToChoose
        self._values = values
        self._cumulative: Sequence[int] = list(itertools.accumulate(weights)) if weights else range(1, len(values) + 1)
        self._total = self._cumulative[-1]
        self._logs = [math.log(w / self._total) for w in weights] if weights else [-math.log(len(values))] * len(values)

    def sample(self, random: Random) -> tuple[T, float]:
        index = bisect_right(self._cumulative, int(random() * self._total))
        return self._values[index], self._logs[index]

    def outcomes(self) -> Iterator[tuple[T, float]]:
        before = 0
        for value, cumulative in zip(self._values, self._cumulative, strict=True):
            yield value, (cumulative - before) / self._total
            before = cumulative

    @cached_property
    def entropy(self) -> float:
        return -math.fsum(p * log for (_, p), log in zip(self.outcomes(), self._logs, strict=True))


class _Mapped(Distribution[U]):
    def __init__(self, source: Distribution[T], function: Callable[[T], U]) -> None:
        self._source: Distribution[Any] = source
        self._function = function

    def sample(self, random: Random) -> tuple[U, float]:
        value, log_prob = self._source.sample(random)
        return self._function(value), log_prob

    def outcomes(self) -> Iterator[tuple[U, float]]:
        return ((self._function(value), p) for value, p in self._source.outcomes())

    @cached_property
    def entropy(self) -> float:
        return self._source.entropy


class _Joint(Distribution[tuple[Any, ...]]):
    def __init__(self, parts: Sequence[Distribution[Any]]) -> None:
        self._parts = parts

    def sample(self, random: Random) -> tuple[tuple[Any, ...], float]:
        values = []
        total = 0.0
        for part in self._parts:
            value, log_prob = part.sample(random)
            values.append(value)
            total += log_prob
        return tuple(values), total

    def outcomes(self) -> Iterator[tuple[tuple[Any, ...], float]]:
        for combination in itertools.product(*(list(part.outcomes()) for part in self._parts)):
            yield tuple(value for value, _ in combination), math.prod(p for _, p in combination)

    @cached_property
    def entropy(self) -> float:
        return math.fsum(part.entropy for part in self._parts)


class _Chained(Distribution[U]):
    def __init__(self, source: Distribution[T], function: Callable[[T], Distribution[U]]) -> None:
        self._source: Distribution[Any] = source
        self._function: Callable[[Any], Distribution[U]] = function
        self._next_by_value: dict[Hashable, Distribution[U]] = {}

    def _next(self, value: Hashable) -> Distribution[U]:
        distribution = self._next_by_value.get(value)
        if distribution is None:
            distribution = self._next_by_value[value] = self._function(value)
        return distribution

    def sample(self, random: Random) -> tuple[U, float]:
        value, first = self._source.sample(random)
        result, second = self._next(value).sample(random)
        return result, first + second

    def outcomes(self) -> Iterator[tuple[U, float]]:
        for value, p in self._source.outcomes():
            for result, q in self._next(value).outcomes():
                yield result, p * q

    @cached_property
    def entropy(self) -> float:
        return self._source.entropy + math.fsum(p * self._next(value).entropy for value, p in self._source.outcomes())


def always(value: T) -> Distribution[T]:
    """The distribution of one value."""
    return Choice([value])


def joint(*parts: Distribution[Any]) -> Distribution[tuple[Any, ...]]:
    """Independent draws from every part."""
    return _Joint(parts)


def mixture(parts: Sequence[tuple[Distribution[T], int]]) -> Distribution[T]:
    """A draw from one of several distributions, chosen by weight; no value may come from two of them."""
    kept = [(part, weight) for part, weight in parts if weight]
    choice = Choice([part for part, _ in kept], [weight for _, weight in kept])
    return choice.then(lambda part: part)


def maybe(part: Distribution[T], percent: int) -> Distribution[T | None]:
    """A draw from `part` in `percent` % of the cases, else None."""
    present: Distribution[T | None] = part.map(lambda value: value)
    return mixture([(always(None), 100 - percent), (present, percent)])
