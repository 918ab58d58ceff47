"""Clauses to Hungarian text.

Word order is neutral. The part closest to the verb precedes it if it has no article or is a place (vizet iszik, a
kertben játszik, vonattal utazik); all other parts follow. After a negation or an adverb of frequency, all parts follow
the verb; after a negation, the verb's prefix does too (nem olvasta el).
"""

from lai.data.synthetic import inflect_hu
from lai.data.synthetic.clauses import (
    Action,
    Clause,
    Contrast,
    Description,
    Existence,
    Possession,
    Pronoun,
    Reason,
    Subject,
    person_of,
)
from lai.data.synthetic.inflect_hu import Conjugation, Nominal, Tense
from lai.data.synthetic.lexicon import Adjective, Name, Place, Verb

_BE = {
    "present": {"1sg": "vagyok", "3sg": "van", "1pl": "vagyunk", "3pl": "vannak"},
    "past": {"1sg": "voltam", "3sg": "volt", "1pl": "voltunk", "3pl": "voltak"},
}
_MODALS = {
    "can": Conjugation("tud", "tudja", "tudott", "tudt"),
    "like": Conjugation("szeret", "szereti", "szeretett", "szerett"),
    "want": Conjugation("akar", "akarja", "akart", "akart"),
}


def sentence(clause: Clause) -> str:
    """The clause as a sentence, with a capital and a full stop."""
    return inflect_hu.finish(clause_text(clause)) + "."


def noun_phrase(what: Subject, case: str = "nominative") -> str:
    """A subject or object in a case (an attribute of Nominal); a(z) stands where the article is still open."""
    if isinstance(what, Pronoun):
        return ""
    head = what.head
    if isinstance(head, Name):
        return inflected(head.hungarian, case)
    noun = head.hungarian.possessive if what.owner else inflected(head.hungarian, case, what.plural)
    if what.adjective:
        noun = f"{what.adjective.attributive} {noun}"
    if what.owner:
        return f"{what.owner.hungarian.lemma} {noun}"
    if what.number:
        return f"{what.number.hungarian} {noun}"
    if what.definite:
        return f"a(z) {noun}"
    return noun if what.bare else f"egy {noun}"


def inflected(nominal: Nominal, case: str, plural: bool = False) -> str:
    """One form of a noun or name."""
    if case == "nominative":
        return nominal.plural if plural else nominal.lemma
    form: str = getattr(nominal, f"plural_{case}" if plural else case)
    return form


def place_phrase(place: Place, motion: bool = False) -> str:
    """Where, or where to: a kertben, a kertbe, Párizsban."""
    case = ("illative" if place.inside else "sublative") if motion else "inessive" if place.inside else "superessive"
    form = inflected(place.hungarian, case)
    return form if place.kind == "city" else f"a(z) {form}"


def has_prefix(verb: Verb, tense: Tense, definite: bool) -> bool:
    """Whether the verb takes its prefix: eszi az almát, but megette az almát."""
    match verb.prefix_rule:
        case "always":
            return True
        case "definite":
            return definite
        case "completed":
            return definite and tense == "past"
    return False


def verb_parts(action: Action) -> tuple[str, str]:
    """The prefix (or nothing) and the finite verb, which agrees with the subject and with the object's definiteness."""
    definite = action.object is not None and action.object.definite
    prefix = action.verb.prefix if has_prefix(action.verb, action.tense, definite) else ""
    return prefix, action.verb.hungarian.form(action.tense, person_of(action.subject), definite)


def clause_text(clause: Clause) -> str:
    """The clause inside a sentence, without capital and full stop; articles may be open as in `noun_phrase`."""
    match clause:
        case Action():
            return _action(clause)
        case Description():
            return _description(clause)
        case Existence(what, place, tense):
            is_there = _BE[tense]["3sg"]
            order = [noun_phrase(what), is_there] if what.number else [is_there, noun_phrase(what)]
            return " ".join([place_phrase(place), *order])
        case Possession(owner, what, tense):
            is_there = _BE[tense]["3sg"]
            adjective = f"{what.adjective.attributive} " if what.adjective else ""
            counted = what.number.hungarian if what.number else "egy"
            had = f"{counted} {adjective}{what.head.hungarian.possessive}"
            return f"{noun_phrase(owner, 'dative')} " + (f"{had} {is_there}" if what.number else f"{is_there} {had}")
        case Contrast(first, second):
            return f"{_action(first)}, {_action(second, particle='pedig')}"
        case Reason(action, why):
            was = f" {_BE['past']['3sg']}" if action.tense == "past" else ""
            return f"{_action(action)}, mert {why.hungarian}{was}"


def _description(clause: Description) -> str:
    person = person_of(clause.subject)
    what = clause.what
    if isinstance(what, Adjective):
        complement = what.plural if person in ("1pl", "3pl") else what.hungarian
    else:
        complement = what.hungarian.lemma
    # The third person of `to be` is left out in the present: a kutya éhes.
    copula = "" if clause.tense == "present" and person.startswith("3") else _BE[clause.tense][person]
    order = ["nem", copula, complement] if clause.negated else [complement, copula]
    return " ".join(word for word in (noun_phrase(clause.subject), *order) if word)


def _action(action: Action, particle: str = "") -> str:
    before, after = _around_verb(action)
    prefix, verb = verb_parts(action)
    if action.modal:
        core = _modal(action)
    elif action.negated:
        core = ["nem", verb, prefix]
    else:
        core = [*before, prefix + verb]
        before = []
    time = action.time.hungarian if action.time else ""
    frequency = action.frequency.hungarian if action.frequency else ""
    order = [time, noun_phrase(action.subject), particle, frequency, *core, *before, *after]
    return " ".join(word for word in order if word)


def _modal(action: Action) -> list[str]:
    assert action.modal
    modal = _MODALS[action.modal].form(action.tense, person_of(action.subject), definite=False)
    infinitive = action.verb.prefix + action.verb.hungarian.infinitive_form
    return [infinitive, modal] if action.modal == "want" else [modal, infinitive]


def _around_verb(action: Action) -> tuple[list[str], list[str]]:
    """The parts before the verb (at most one, and only if the verb has no prefix) and those after it."""
    parts: list[tuple[bool, str]] = []
    if action.object:
        parts.append((action.object.bare, noun_phrase(action.object, "accusative")))
    if action.recipient:
        parts.append((False, action.recipient.hungarian.dative))
    if action.companion:
        parts.append((True, action.companion.hungarian.instrumental))
    if action.vehicle:
        parts.append((True, action.vehicle.hungarian.instrumental))
    if action.destination:
        parts.append((True, place_phrase(action.destination, motion=True)))
    if action.place:
        parts.append((action.object is None, place_phrase(action.place)))
    free = not (
        action.verb.prefix_rule == "always"
        or action.modal
        or action.negated
        or (action.frequency and action.frequency.verb_follows)
    )
    if free and parts and parts[0][0]:
        return [parts[0][1]], [part for _, part in parts[1:]]
    return [], [part for _, part in parts]
