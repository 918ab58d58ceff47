"""Phrases that are translated by themselves: the dog, two red apples, to the garden, three weeks ago, we saw a horse.

A model that has only read sentences has never seen these. All nouns are equally frequent, and so are all places and all
times. Verbs always have a pronoun: sentences rarely have plurals and these persons.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lai.data.synthetic import inflect_en, inflect_hu, realize_en, realize_hu
from lai.data.synthetic.clauses import PRONOUNS, Action, Language, NounPhrase
from lai.data.synthetic.constituents import Constituents
from lai.data.synthetic.grammar import Choice, Distribution, always, joint, mixture
from lai.data.synthetic.lexicon import ON_LAND, Name, Noun, Place, Time, Verb
from lai.data.synthetic.sentences import ActionFields, Sentences


@dataclass(frozen=True, slots=True)
class PlacePhrase:
    """A place by itself; with `motion`, where to."""

    place: Place
    motion: bool


Phrase = NounPhrase | PlacePhrase | Time | Action


def phrases(constituents: Constituents, sentences: Sentences, percent_of_verbs: int) -> Distribution[Phrase]:
    """Every phrase; its verbs are those of sentences."""
    lexicon = constituents.lexicon

    def noun_phrases(noun: Noun) -> Distribution[Phrase]:
        return constituents.object(noun, "any", evenly=True).map(lambda what: what)

    goals = [place for place in lexicon.places if place.kind in ON_LAND]  # the water places are no destinations
    places = [PlacePhrase(place, False) for place in lexicon.places] + [PlacePhrase(place, True) for place in goals]
    shares: list[tuple[Distribution[Phrase], int]] = [
        (Choice(lexicon.nouns).then(noun_phrases), 60),
        (Choice[Phrase](places), 30),
        (Choice[Phrase](lexicon.times), 10),
    ]
    verbs = sentences.personal_verbs()
    if not verbs:
        return mixture(shares)
    conjugated = _pairs(constituents, verbs).then(lambda pair: _conjugated(constituents, *pair))
    return mixture([(mixture(shares), 100 - percent_of_verbs), (conjugated, percent_of_verbs)])


def _pairs(constituents: Constituents, verbs: Sequence[Verb]) -> Distribution[tuple[Verb, Noun | Place]]:
    """Pairs of a verb and its partner: half draw the verb uniformly, half the object or place."""
    partners = {verb: constituents.objects(verb, False) or constituents.places(verb) for verb in verbs}
    pairs = [(verb, partner) for verb in verbs for partner in partners[verb]]
    times = Counter(partner for _, partner in pairs)
    shares = [1 / len(partners[verb]) / len(partners) + 1 / times[partner] / len(times) for verb, partner in pairs]
    return Choice(pairs, [round(1e6 * share) for share in shares])


def _conjugated(constituents: Constituents, verb: Verb, partner: Noun | Place) -> Distribution[Phrase]:
    """A pronoun, the verb, and the parts that the verb requires."""

    def name(needed: bool) -> Distribution[Name | None]:
        return Choice[Name | None](constituents.lexicon.names if needed else [None])

    def predicate(negated: bool) -> Distribution[ActionFields]:
        fields: Distribution[ActionFields] = always({"destination" if verb.kind == "go" else "place": partner})
        if isinstance(partner, Noun):
            determination = "definite" if negated else constituents.determination(verb)
            fields = constituents.object(partner, determination, evenly=True).map(lambda what: {"object": what})
        return joint(always({"negated": negated}), fields).map(lambda drawn: drawn[0] | drawn[1])

    percent_negated = constituents.percent(
        20
    )  # twice as often as in sentences: negation moves the prefix of many verbs
    predicates = mixture([(predicate(False), 100 - percent_negated), (predicate(True), percent_negated)])
    drawn = joint(
        Choice(PRONOUNS), constituents.tense(), predicates, name(verb.needs_recipient), name(verb.needs_companion)
    )
    return drawn.map(lambda d: Action(verb, d[0], d[1], recipient=d[3], companion=d[4], **d[2]))


def realize_phrase(phrase: Phrase, language: Language) -> str:
    """A phrase as text, without a capital or a full stop."""
    if isinstance(phrase, Time):
        return phrase.english if language == "en" else phrase.hungarian
    realization, with_articles = (
        (realize_en, inflect_en.with_articles) if language == "en" else (realize_hu, inflect_hu.with_articles)
    )
    if isinstance(phrase, Action):
        return with_articles(realization.clause_text(phrase))
    return with_articles(
        realization.place_phrase(phrase.place, phrase.motion)
        if isinstance(phrase, PlacePhrase)
        else realization.noun_phrase(phrase)
    )
