"""Held-out combinations of words."""

import re
from collections.abc import Iterable

import pytest
from toy_synthetic import BOTH, CONFIGS, text_of

from lai.data.synthetic.constituents import split_combinations
from lai.data.synthetic.tasks import Grammar


@pytest.mark.parametrize("held_out", [0.1, 0.25, 0.5])
def test_a_share_of_every_words_partners_is_held_out_and_never_all(held_out: float) -> None:
    partners = tuple(range(40))
    for row in range(50):
        held = split_combinations(row, partners, held_out, held=True)
        assert set(held) | set(split_combinations(row, partners, held_out, held=False)) == set(partners)
        assert len(held) == pytest.approx(40 * held_out, abs=1)
        assert split_combinations(row, (1, 2), held_out, held=False)
        assert split_combinations(row, (1,), held_out, held=False) == (1,)


def one_of(words: Iterable[str]) -> str:
    return "(" + "|".join(sorted(filter(None, words), key=len, reverse=True)) + ")"


def pairs(pattern: str, text: str) -> set[tuple[str, str]]:
    return {(match["first"], match["second"]) for match in re.finditer(pattern, text)}


@BOTH
def test_held_out_combinations_are_nowhere_in_the_training_text(lexicon: str) -> None:
    """Searched for in the English text, with any article, number and adjective between the two words."""
    text = text_of(lexicon).decode()
    constituents = Grammar(CONFIGS[lexicon]).constituents
    words = constituents.lexicon
    verbs = (*words.verbs, *words.intransitive_verbs)
    forms = {verb: (verb.english.base, verb.english.third, verb.english.past) for verb in verbs}
    nouns = {noun: tuple(filter(None, (noun.english, noun.english_plural))) for noun in words.nouns}
    a_form, a_noun = (one_of(w for entry in table.values() for w in entry) for table in (forms, nouns))
    adjective = one_of(adjective.english for adjective in words.adjectives)
    place = one_of(place.english for place in words.places)
    article = one_of(["the", "an?", *(number.english for number in words.numbers)])
    of_verbs = pairs(rf"\b(?P<first>{a_form}) (?:{article} )?(?:{adjective} )?(?P<second>{a_noun})\b", text)
    in_places = pairs(rf"\b(?P<first>{a_form}) (?:with \w+ )?(?:in|at|on|to) (?:the |an? )?(?P<second>{place})\b", text)
    described = pairs(rf"\b(?P<second>{adjective}) (?P<first>{a_noun})\b", text)
    described |= pairs(rf"(?P<first>{a_noun}) (?:is|are|was|were) (?:not )?(?P<second>{adjective})\b", text)
    for verb in verbs:
        held, allowed = (
            {(form, name) for form in forms[verb] for noun in constituents.objects(verb, h) for name in nouns[noun]}
            if verb.objects
            else {(form, place.english) for form in forms[verb] for place in constituents.places(verb, h)}
            for h in (True, False)
        )
        found = of_verbs if verb.objects else in_places
        assert not held & found and allowed & found, verb.english.base
    for noun in words.nouns:
        held_adjectives = {
            (n, adjective.english) for n in nouns[noun] for adjective in constituents.adjectives(noun, True)
        }
        assert not held_adjectives & described, noun.english
