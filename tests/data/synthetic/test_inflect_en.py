"""English forms, against a list written by hand."""

import pytest

from lai.data.synthetic import inflect_en
from lai.data.synthetic.lexicon import Lexicon, load_lexicon


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return load_lexicon()


def test_a_and_an_go_by_the_sound() -> None:
    expected = ["an hour", "a university", "an honest man", "a useful map", "an umbrella", "an egg", "a yellow egg"]
    assert [inflect_en.finish(f"a(n) {phrase.partition(' ')[2]}").lower() for phrase in expected] == expected
    assert [inflect_en.indefinite_article(word) for word in ("one", "European", "uncle", "uniform", "heir")] == [
        "a", "a", "an", "a", "an",
    ]  # fmt: skip


def test_english_plurals_and_irregular_pasts(lexicon: Lexicon) -> None:
    plurals = {noun.english: noun.english_plural for noun in lexicon.nouns}
    expected = {
        "child": "children", "mouse": "mice", "fish": "fish", "man": "men", "goose": "geese", "wolf": "wolves",
        "box": "boxes", "cherry": "cherries", "watch": None, "knife": "knives", "potato": "potatoes", "boss": "bosses",
        "witch": "witches", "toy": "toys", "piano": "pianos", "water": "",
    }  # fmt: skip
    assert {noun: plurals.get(noun) for noun in expected} == expected
    verbs = {
        verb.english.base: (verb.english.third, verb.english.past)
        for verb in (*lexicon.verbs, *lexicon.intransitive_verbs)
    }
    assert verbs["buy"] == ("buys", "bought")
    assert verbs["catch"] == ("catches", "caught")
    assert verbs["carry"] == ("carries", "carried")
    assert verbs["look for"] == ("looks for", "looked for")
    assert verbs["go"] == ("goes", "went")
    assert verbs["read"] == ("reads", "read")
    assert verbs["play"] == ("plays", "played")
