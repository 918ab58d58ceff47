"""Parts of sentences, to be translated by themselves: the dog, two red apples, to the garden, three weeks ago, we saw a
horse.

A model that has only read sentences has never seen these; every noun, place and time is there alike often, and so is
every verb, in the persons that sentences seldom have.
"""

from dataclasses import dataclass

from lai.data.synthetic import english, hungarian, in_english, in_hungarian
from lai.data.synthetic.clauses import PRONOUNS, Action, Language, NounPhrase
from lai.data.synthetic.grammar import Choice, Distribution, joint, mixture
from lai.data.synthetic.lexicon import ON_LAND, Name, Noun, Place, Time, Verb
from lai.data.synthetic.phrases import Phrases
from lai.data.synthetic.sentences import Parts, Sentences


@dataclass(frozen=True, slots=True)
class Where:
    """A place by itself; with `motion`, where to."""

    place: Place
    motion: bool


Part = NounPhrase | Where | Time | Action


def parts(phrases: Phrases, sentences: Sentences) -> Distribution[Part]:
    """Every part; nouns have any article, number and adjective that an object may have, verbs are the sentences'."""
    lexicon = phrases.lexicon
    verbs = [verb for verb in sentences.personal_verbs() if verb.english.tells_tense]

    def things(noun: Noun) -> Distribution[Part]:
        return phrases.object(noun, "any").map(lambda what: what)

    goals = [place for place in lexicon.places if place.kind in ON_LAND]  # to the lake, but not into it
    places = [Where(place, False) for place in lexicon.places] + [Where(place, True) for place in goals]
    shares: list[tuple[Distribution[Part], int]] = [
        (Choice(lexicon.nouns).then(things), 60),
        (Choice[Part](places), 30),
        (Choice[Part](lexicon.times), 10),
    ]
    if verbs:  # as often each, whatever the lexicon
        shares.append((Choice(verbs).then(lambda verb: _conjugated(phrases, verb)), len(verbs) // 2))
    return mixture(shares)


def _conjugated(phrases: Phrases, verb: Verb) -> Distribution[Part]:
    """A pronoun, the verb, and what it is never without."""

    def name(needed: bool) -> Distribution[Name | None]:
        return Choice[Name | None](phrases.lexicon.names if needed else [None])

    said: Distribution[Parts]
    if verb.kind == "object":
        things = Choice(phrases.objects(verb, held=False)).then(
            lambda noun: phrases.object(noun, phrases.determination(verb))
        )
        said = things.map(lambda what: {"object": what})
    else:
        key = "destination" if verb.kind == "go" else "place"
        said = Choice(phrases.places(verb)).map(lambda where: {key: where})
    drawn = joint(Choice(PRONOUNS), phrases.tense(), said, name(verb.needs_recipient), name(verb.needs_companion))
    return drawn.map(lambda d: Action(verb, d[0], d[1], recipient=d[3], companion=d[4], **d[2]))


def say_part(part: Part, language: Language) -> str:
    """A part in a language, without a capital or a full stop."""
    if isinstance(part, Time):
        return part.english if language == "en" else part.hungarian
    put, finish = (in_english, english.with_articles) if language == "en" else (in_hungarian, hungarian.with_articles)
    if isinstance(part, Action):
        return finish(put.words(part))
    return finish(put.place_phrase(part.place, part.motion) if isinstance(part, Where) else put.phrase(part))
