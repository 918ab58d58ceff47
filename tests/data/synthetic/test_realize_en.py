"""English phrases, against phrases written by hand; whole sentences are in test_clauses.py."""

import pytest

from lai.data.synthetic.clauses import PRONOUNS, Action, NounPhrase
from lai.data.synthetic.lexicon import load_lexicon
from lai.data.synthetic.realize_en import be, do, finite, noun_phrase, place_phrase

LEXICON = load_lexicon()
NOUNS = {noun.english: noun for noun in LEXICON.nouns}
VERBS = {verb.english.base: verb for verb in LEXICON.verbs}
PLACES = {place.english: place for place in LEXICON.places}


def test_noun_phrases_have_the_determiner_that_they_ask_for() -> None:
    apple, two = NOUNS["apple"], next(number for number in LEXICON.numbers if number.english == "two")
    anna = next(name for name in LEXICON.names if name.english == "Anna")
    assert noun_phrase(NounPhrase(apple)) == "the apple"
    assert noun_phrase(NounPhrase(apple, definite=False)) == "a(n) apple"
    assert noun_phrase(NounPhrase(apple, definite=False, plural=True)) == "apples"
    assert noun_phrase(NounPhrase(apple, definite=False, number=two)) == "two apples"
    assert noun_phrase(NounPhrase(apple, owner=anna)) == "Anna's apple"


def test_cities_have_no_article_and_motion_has_its_preposition() -> None:
    assert [place_phrase(PLACES["garden"]), place_phrase(PLACES["garden"], motion=True)] == [
        "in the garden",
        "to the garden",
    ]
    assert place_phrase(next(place for place in LEXICON.places if place.kind == "city")).count("the") == 0


@pytest.mark.parametrize(
    ("person", "forms"),
    [("1sg", ["am", "was", "see", "do"]), ("1pl", ["are", "were", "see", "do"]), ("3pl", ["are", "were", "see", "do"])],
)
def test_verbs_agree_with_pronouns(person: str, forms: list[str]) -> None:
    pronoun = next(pronoun for pronoun in PRONOUNS if pronoun.person == person)
    see = VERBS["see"]
    found = [be(pronoun, "present"), be(pronoun, "past"), finite(see.english, pronoun, "present")]
    assert [*found, do(Action(see, pronoun, "present"))] == forms
    assert do(Action(see, NounPhrase(NOUNS["dog"]), "present")) == "does"
