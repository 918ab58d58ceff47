"""The size of the lexicon."""

from dataclasses import replace
from itertools import pairwise

from lai.data.synthetic import SyntheticConfig
from lai.data.synthetic.tasks import Grammar

GUIDE = SyntheticConfig()

SMALL = SyntheticConfig(lexicon="small")


def test_sizes_of_the_lexicon_grow_with_the_number_asked_for() -> None:
    sizes = [Grammar(replace(GUIDE, lexicon=size)).constituents.lexicon.size for size in (60, 120, 240, 480)]
    sizes.append(Grammar(GUIDE).constituents.lexicon.size)
    assert all(smaller < larger for smaller, larger in pairwise(sizes))
    assert sizes[-1] >= 400
    assert 60 <= Grammar(SMALL).constituents.lexicon.size <= 150
