"""Parts of sentences, to be translated by themselves: the dog, two red apples, to the garden, three weeks ago.

A model that has only read sentences has never seen these; every noun, place and time is there alike often.
"""

from dataclasses import dataclass

from lai.data.synthetic import english, hungarian, in_english, in_hungarian
from lai.data.synthetic.clauses import Language, NounPhrase
from lai.data.synthetic.grammar import Choice, Distribution, mixture
from lai.data.synthetic.lexicon import ON_LAND, Noun, Place, Time
from lai.data.synthetic.phrases import Phrases


@dataclass(frozen=True, slots=True)
class Where:
    """A place by itself; with `motion`, where to."""

    place: Place
    motion: bool


Part = NounPhrase | Where | Time


def parts(phrases: Phrases) -> Distribution[Part]:
    """Every part; nouns have any article, number and adjective that an object may have."""
    lexicon = phrases.lexicon

    def things(noun: Noun) -> Distribution[Part]:
        return phrases.object(noun, "any").map(lambda what: what)

    goals = [place for place in lexicon.places if place.kind in ON_LAND]  # to the lake, but not into it
    places = [Where(place, False) for place in lexicon.places] + [Where(place, True) for place in goals]
    return mixture(
        [
            (Choice(lexicon.nouns).then(things), 60),
            (Choice[Part](places), 30),
            (Choice[Part](lexicon.times), 10),
        ]
    )


def say_part(part: Part, language: Language) -> str:
    """A part in a language, without a capital or a full stop."""
    if isinstance(part, Time):
        return part.english if language == "en" else part.hungarian
    if language == "en":
        said = in_english.place_phrase(part.place, part.motion) if isinstance(part, Where) else in_english.phrase(part)
        return english.with_articles(said)
    said = in_hungarian.place_phrase(part.place, part.motion) if isinstance(part, Where) else in_hungarian.phrase(part)
    return hungarian.with_articles(said)
