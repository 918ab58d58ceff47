"""Clauses to English text."""

from lai.data.synthetic import inflect_en
from lai.data.synthetic.clauses import (
    Action,
    Clause,
    Contrast,
    Description,
    Existence,
    NounPhrase,
    Possession,
    Pronoun,
    Reason,
    Subject,
    person_of,
)
from lai.data.synthetic.inflect_hu import Tense
from lai.data.synthetic.lexicon import Adjective, EnglishVerb, Name, Place

_BE = {
    "present": {"1sg": "am", "3sg": "is", "1pl": "are", "3pl": "are"},
    "past": {"1sg": "was", "3sg": "was", "1pl": "were", "3pl": "were"},
}
_MODALS = {
    "like": EnglishVerb("like", "likes", "liked"),
    "want": EnglishVerb("want", "wants", "wanted"),
}


def sentence(clause: Clause) -> str:
    """The clause as a sentence, with a capital and a full stop."""
    return inflect_en.finish(clause_text(clause)) + "."


def noun_phrase(what: Subject) -> str:
    """A subject or object; a(n) stands where the article still depends on the next word."""
    if isinstance(what, Pronoun):
        return what.english
    head = what.head
    if isinstance(head, Name):
        return head.english
    noun = head.english_plural if what.plural or what.number else head.english
    if what.adjective:
        noun = f"{what.adjective.english} {noun}"
    if what.owner:
        return f"{inflect_en.possessive(what.owner.english)} {noun}"
    if what.number:
        return f"{what.number.english} {noun}"
    if what.definite:
        return f"the {noun}"
    return noun if what.bare else f"a(n) {noun}"


def place_phrase(place: Place, motion: bool = False) -> str:
    """Where, or where to: in the garden, to the garden, in Paris."""
    preposition = "to" if motion else place.preposition
    return f"{preposition} {place.english}" if place.kind == "city" else f"{preposition} the {place.english}"


def be(subject: Subject, tense: Tense) -> str:
    """The form of `to be`."""
    return _BE[tense][person_of(subject)]


def finite(verb: EnglishVerb, subject: Subject, tense: Tense) -> str:
    """The verb's form for a subject: sees, see, saw."""
    if tense == "past":
        return verb.past
    return verb.third if person_of(subject) == "3sg" else verb.base


def clause_text(clause: Clause) -> str:
    """The clause inside a sentence, without capital and full stop; articles may be open as in `noun_phrase`."""
    match clause:
        case Action():
            return _action(clause)
        case Description(subject, what, tense, negated):
            is_not = be(subject, tense) + (" not" if negated else "")
            complement = what.english if isinstance(what, Adjective) else f"a(n) {what.english}"
            return f"{noun_phrase(subject)} {is_not} {complement}"
        case Existence(what, place, tense):
            plural = NounPhrase(what.head, plural=what.number is not None)
            return f"there {be(plural, tense)} {noun_phrase(what)} {place_phrase(place)}"
        case Possession(owner, what, tense):
            has = "had" if tense == "past" else "have" if person_of(owner) == "3pl" else "has"
            return f"{noun_phrase(owner)} {has} {noun_phrase(what)}"
        case Contrast(first, second):
            return f"{_action(first)}, and {_action(second)}"
        case Reason(action, why):
            subject = action.subject
            assert isinstance(subject, NounPhrase) and isinstance(subject.head, Name)
            return f"{_action(action)} because {subject.head.pronoun} {be(subject, action.tense)} {why.english}"


def _action(action: Action) -> str:
    parts: list[str] = []
    if action.time:
        parts.append(action.time.english)
    parts.append(noun_phrase(action.subject))
    if action.frequency:
        parts.append(action.frequency.english)
    parts.append(_verb(action))
    parts.extend(complements(action))
    return " ".join(parts)


def _verb(action: Action) -> str:
    verb = action.verb.english
    if action.modal == "can":
        return f"{'could' if action.tense == 'past' else 'can'} {verb.base}"
    if action.modal:
        return f"{finite(_MODALS[action.modal], action.subject, action.tense)} to {verb.base}"
    if action.negated:
        return f"{do(action)} not {verb.base}"
    return finite(verb, action.subject, action.tense)


def do(action: Action) -> str:
    """The auxiliary of questions and negation."""
    if action.tense == "past":
        return "did"
    return "does" if person_of(action.subject) == "3sg" else "do"


def complements(action: Action, without: str = "") -> list[str]:
    """The parts after the verb, in order, except the one named `without`."""
    parts: list[str] = []
    if action.object and without != "object":
        parts.append(noun_phrase(action.object))
    if action.recipient and without != "recipient":
        parts.append(f"{action.verb.recipient} {action.recipient.english}")
    if action.companion:
        parts.append(f"with {action.companion.english}")
    if action.destination and without != "destination":
        parts.append(place_phrase(action.destination, motion=True))
    if action.vehicle:
        parts.append(f"by {action.vehicle.english}")
    if action.place and without != "place":
        parts.append(place_phrase(action.place))
    return parts
