"""Faults of pairs: none in the generator's own translations, whose names are Hungarian on both sides."""

import pytest

from lai.data.synthetic import SyntheticConfig, generate
from lai.data.text.pairs import pair_faults, pair_of


@pytest.mark.parametrize("lexicon", ["small", "full"])
def test_generated_pairs_have_no_faults(lexicon):
    config = SyntheticConfig(
        sentences=0, stories=0, instructions=0, translations=4000, lexicon=lexicon, detail=0.3, phrases=0.3
    )
    pairs = [pair for example in generate(config) if (pair := pair_of(example.document)) is not None]
    english, hungarian = zip(*pairs, strict=True)
    faults = pair_faults(english, hungarian)
    assert len(pairs) == 8000
    for found in (faults.swapped, faults.one_language, faults.out_of_proportion):
        assert found.mean() < 0.005
    assert not faults.quoted.any()


def test_a_name_on_both_sides_makes_no_pair_one_language():
    faults = pair_faults(["László looks for Kati.", "in Budapest"], ["László keresi Katit.", "Budapesten"])
    assert not faults.one_language.any()


def test_sides_in_one_language_are_found():
    hungarian = ["A kutya megette a krumplit.", "Az asszony elment Szegedre."]
    english = ["The dog ate the potatoes.", "The woman went to Szeged."]
    assert pair_faults(hungarian, hungarian[::-1]).one_language.all()
    assert pair_faults(english, english[::-1]).one_language.all()
