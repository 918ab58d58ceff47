"""What the start lines say of a mixture."""

import numpy as np
import pytest

from lai.data.tokens.mixing import Length, MixedPacking, MixedSource
from lai.data.tokens.packing import TrainingPacking
from lai.run.mixture import lines


def mixed(passes: float | None) -> MixedPacking:
    lengths = np.full(100, 10)
    packing = TrainingPacking(lengths, 10, 0)
    sources = [MixedSource("web", packing, 0, 1000, 0.75, 4), MixedSource("chat", packing, 100, 1000, 0.25, passes)]
    return MixedPacking(sources, 0)


def test_each_source_has_a_line_of_what_it_gives_to_the_run() -> None:
    packing = mixed(1)
    packing.measure(Length(packing.n_rows, 1))
    assert list(lines(packing)) == [
        "mixture     web: 75.0% of the tokens, 1,500; read 1.50 times, at most 4",
        "            chat: 25.0% of the tokens, 500; read 0.50 times, at most 1",
    ]
    packing.measure(Length(packing.n_rows, 2.25))
    short = " (its weight is 25.0%; max_epochs allows no more)"
    assert list(lines(packing)) == [
        "mixture     web: 77.8% of the tokens, 3,500; read 3.50 times, at most 4",
        f"            chat: 22.2% of the tokens{short}, 1,000; read 1.00 times, at most 1",
    ]


@pytest.mark.parametrize(("passes", "ends"), [(2, True), (float("inf"), False)])
def test_a_run_without_a_known_end_is_told_where_its_sources_end(passes: float, ends: bool) -> None:
    found = list(lines(mixed(passes)))
    assert "1,500 an epoch" in found[0]
    assert ("            max_epochs ends the run after 3 epochs of 2,000 tokens" in found) == ends
    assert ("at most" in found[1]) == ends


def test_a_run_without_a_mixture_has_no_line() -> None:
    assert list(lines(None)) == []
