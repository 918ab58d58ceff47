"""Distributions, against counting every outcome."""

import math
import random
from collections import Counter
from typing import Any

import pytest

from lai.data.synthetic.grammar import Choice, Distribution, always, joint, maybe, mixture


def counted_entropy(distribution: Distribution[Any]) -> float:
    total: Counter[Any] = Counter()
    for value, p in distribution.outcomes():
        total[value] += p  # type: ignore[assignment]
    assert math.fsum(total.values()) == pytest.approx(1, abs=1e-12)
    return -math.fsum(p * math.log(p) for p in total.values())


def grammar() -> Distribution[Any]:
    subject = Choice(["a dog", "a cat", "Anna"], [1, 2, 5])

    def verb(of: str) -> Distribution[str]:
        return Choice(["sleeps", "barks"]) if of == "a dog" else Choice(["sleeps", "eats", "runs"], [3, 1, 1])

    sentence = subject.then(lambda s: verb(s).map(lambda v: f"{s} {v}"))
    return mixture([(joint(sentence, maybe(always("now"), 30)), 7), (always(("Hello!",)), 2)])


def test_entropy_is_that_of_the_counted_outcomes() -> None:
    assert grammar().entropy == pytest.approx(counted_entropy(grammar()), abs=1e-12)


def test_a_dice_has_the_entropy_of_a_dice() -> None:
    assert Choice(range(6)).entropy == pytest.approx(math.log(6))
    assert Choice("ab", [1, 3]).entropy == pytest.approx(-0.25 * math.log(0.25) - 0.75 * math.log(0.75))
    assert always(0).entropy == 0


def test_log_probabilities_of_samples_are_those_of_the_outcomes() -> None:
    known = dict(grammar().outcomes())
    source = random.Random(1).random
    drawn = [grammar().sample(source) for _ in range(20000)]
    for value, log_prob in drawn:
        assert math.exp(log_prob) == pytest.approx(known[value])
    seen = Counter(value for value, _ in drawn)
    assert set(seen) == set(known)
    for value, p in known.items():
        # Five standard deviations of a binomial.
        assert abs(seen[value] - 20000 * p) < 5 * math.sqrt(20000 * p)


def test_values_of_weight_zero_never_come() -> None:
    assert list(Choice("abc", [1, 0, 1]).outcomes()) == [("a", 0.5), ("c", 0.5)]
    assert list(maybe(Choice("ab"), 0).outcomes()) == [(None, 1.0)]


@pytest.mark.parametrize("u", [0.0, 0.4999999, 0.5, 1 - 2**-53])
def test_the_extremes_of_the_random_source_are_values(u: float) -> None:
    assert Choice("ab").sample(lambda: u)[0] == ("a" if u < 0.5 else "b")
