"""The grammar of single sentences: which clauses there are, and how probable each is."""

from collections.abc import Callable, Sequence
from typing import Any

from lai.data.synthetic.clauses import (
    Action,
    Clause,
    Contrast,
    Description,
    Existence,
    NounPhrase,
    Possession,
    Reason,
)
from lai.data.synthetic.constituents import Constituents, Head, When
from lai.data.synthetic.grammar import Choice, Distribution, joint, maybe, mixture
from lai.data.synthetic.lexicon import Adjective, Name, Noun, Verb

TEMPLATES: dict[str, int] = {
    "transitive": 40,
    "located": 12,
    "motion": 10,
    "description": 14,
    "giving": 8,
    "possession": 6,
    "existence": 6,
    "profession": 3,
    "modal": 5,
    "contrast": 8,
    "reason": 6,
}
"""The kinds of sentences, with their weights."""

COMBINING = ("transitive", "located", "motion", "description", "giving", "existence")
"""The kinds of sentences with a combination of words that may be held out."""

_PRONOUNS = dict.fromkeys(("girl", "woman", "queen", "princess", "witch", "grandmother"), "she") | dict.fromkeys(
    ("boy", "man", "king", "prince", "grandfather"), "he"
)

ActionFields = dict[str, Any]
"""Some of the fields of an Action."""


class Sentences:
    """Distributions over clauses.

    Args:
        constituents: the distributions of their parts.
        templates: the kinds of sentences, of `TEMPLATES`.
    """

    def __init__(self, constituents: Constituents, templates: Sequence[str]) -> None:
        self._constituents = constituents
        self._lexicon = constituents.lexicon
        self._templates = templates
        self._makers: dict[str, Callable[[bool], Distribution[Any]]] = {
            "transitive": lambda held: self.actions("transitive", held),
            "located": lambda held: self.actions("located", held),
            "motion": lambda held: self.actions("motion", held),
            "giving": lambda held: self.actions("giving", held),
            "description": self._description,
            "existence": self._existence,
            "possession": lambda _: self._possession(),
            "profession": lambda _: self._profession(),
            "modal": lambda _: self._modal(),
            "contrast": lambda _: self._contrast(),
            "reason": lambda _: self._reason(),
        }

    def clauses(self, held: bool = False) -> Distribution[Clause]:
        """Every kind of sentence; with `held`, only kinds with a combination, each with a held-out one."""
        names = [name for name in self._templates if name in COMBINING or not held]
        return mixture([(self._makers[name](held), TEMPLATES[name]) for name in names])

    def personal_verbs(self) -> list[Verb]:
        """The verbs that a pronoun may have in the chosen kinds of sentences: those whose form shows the tense."""
        actions = [name for name in ("transitive", "giving", "located", "motion") if name in self._templates]
        verbs = dict.fromkeys(verb for name in actions for verb in self.verbs(name))
        return [verb for verb in verbs if "person" in verb.subjects and verb.english.tells_tense]

    def verbs(self, template: str, held: bool = False) -> list[Verb]:
        """The verbs of a kind of action that have partners."""
        match template:
            case "transitive":
                verbs = [verb for verb in self._lexicon.verbs if not verb.needs_recipient]
            case "giving":
                verbs = [verb for verb in self._lexicon.verbs if verb.recipient]
            case "motion":
                return [
                    verb
                    for verb in self._lexicon.intransitive_verbs
                    if verb.kind == "go" and self._partners(verb, held)
                ]
            case _:
                verbs = [verb for verb in self._lexicon.intransitive_verbs if verb.kind != "go"]
        return [verb for verb in verbs if self._partners(verb, held)]

    def _partners(self, verb: Verb, held: bool) -> Sequence[Any]:
        if verb.kind == "object":
            return self._constituents.objects(verb, held)
        return self._constituents.places(verb, held)

    def actions(self, template: str, held: bool = False) -> Distribution[Action]:
        """The actions of one kind: somebody does something."""
        return Choice(self.verbs(template, held)).then(lambda verb: self._action(template, verb, held))

    def _action(self, template: str, verb: Verb, held: bool) -> Distribution[Action]:
        singular = not verb.english.tells_tense
        percent_negated = self._constituents.percent(10)

        def around(head: Head) -> Distribution[Action]:
            subject = self._constituents.subject(head, singular)
            affirmed = joint(subject, self._constituents.when(), self.predicate(template, verb, held, head))
            # "always" and "usually" with "not" would mean something else in either language.
            negated = joint(
                subject, self._constituents.when(often=False), self.predicate(template, verb, held, head, True)
            )
            return mixture([(affirmed, 100 - percent_negated), (negated, percent_negated)]).map(
                lambda drawn: _build(verb, *drawn)
            )

        return self._constituents.heads(verb.subjects, verb.english.tells_tense).then(around)

    def predicate(
        self, template: str, verb: Verb, held: bool, head: Head | None, negated: bool = False
    ) -> Distribution[ActionFields]:
        """The fields of an action besides verb, subject and time; `head` is never its own object."""
        meets_people = template in ("giving", "located") or verb.is_about("person")
        involved = head if head in verb.objects or (meets_people and isinstance(head, Name)) else None
        key = ("predicate", template, verb, held, involved, negated)
        return self._constituents.cached(key, lambda: self._predicate(template, verb, held, involved, negated))

    def _predicate(
        self, template: str, verb: Verb, held: bool, head: Head | None, negated: bool
    ) -> Distribution[ActionFields]:
        if template == "motion":
            return self._destination(verb, held, negated)
        if template == "located":
            return self._location(verb, held, negated, head)
        other = head if head in verb.objects or verb.is_about("person") else None
        key = ("objects", verb, held, negated, other)
        objects = self._constituents.cached(key, lambda: self._objects(verb, held, negated, other))
        if template == "giving":
            addition: Distribution[ActionFields] = self._constituents.other_names(head).map(
                lambda name: {"recipient": name}
            )
        else:
            addition = self._constituents.optional_place(verb, self._constituents.percent(30)).map(
                lambda place: {"place": place}
            )
        return joint(objects, addition).map(lambda drawn: {"object": drawn[0], "negated": negated} | drawn[1])

    def _objects(self, verb: Verb, held: bool, negated: bool, head: Head | None) -> Distribution[NounPhrase]:
        nouns = [noun for noun in self._constituents.objects(verb, held) if noun is not head]
        determination = "definite" if negated else self._constituents.determination(verb)
        things = Choice(nouns).then(lambda noun: self._constituents.object(noun, determination))
        named = 30 if verb.is_about("person") and not held else 0
        return mixture([(things, 100 - named), (self._constituents.other_names(head).map(NounPhrase), named)])

    def _location(self, verb: Verb, held: bool, negated: bool, head: Head | None) -> Distribution[ActionFields]:
        human = "animal" not in verb.subjects or isinstance(head, Name)
        usual = 100 if verb.needs_companion else self._constituents.percent(20 * human)
        companion = maybe(self._constituents.other_names(head), usual)
        return joint(Choice(self._constituents.places(verb, held)), companion).map(
            lambda drawn: {"place": drawn[0], "companion": drawn[1], "negated": negated}
        )

    def _destination(self, verb: Verb, held: bool, negated: bool) -> Distribution[ActionFields]:
        vehicle = self._constituents.optional(Choice(self._lexicon.by_kind["vehicle"]), 60 * verb.by_vehicle)
        return joint(Choice(self._constituents.places(verb, held)), vehicle).map(
            lambda drawn: {"destination": drawn[0], "vehicle": drawn[1], "negated": negated}
        )

    def _description(self, held: bool) -> Distribution[Description]:
        described: list[Noun | Name] = [*self._lexicon.nouns, *self._lexicon.names]
        heads: list[Noun | Name] = [head for head in described if self._constituents.adjectives(head, held)]
        negated = Choice([False, True], [100 - self._constituents.percent(12), self._constituents.percent(12)])

        def around(head: Noun | Name) -> Distribution[Description]:
            subject = self._constituents.described(head)
            what = Choice(self._constituents.adjectives(head, held))
            return joint(subject, what, self._constituents.tense(), negated).map(lambda drawn: Description(*drawn))

        return Choice(heads).then(around)

    def _existence(self, held: bool) -> Distribution[Existence]:
        kinds = ("person", "animal", "thing", "furniture", "dishware", "clothes")
        nouns = [noun for noun in self._lexicon.nouns if noun.kind in kinds and self._constituents.places(noun, held)]

        def around(noun: Noun) -> Distribution[Existence]:
            place = Choice(self._constituents.places(noun, held))
            return joint(self._constituents.countable(noun), place, self._constituents.tense()).map(
                lambda drawn: Existence(*drawn)
            )

        return Choice(nouns).then(around)

    def _possession(self) -> Distribution[Possession]:
        owned = [noun for noun in self._lexicon.nouns if noun.hungarian.possessive]
        owners = self._constituents.heads(("person",), tells_tense=False).then(
            lambda head: self._constituents.subject(head, singular=True)
        )
        what = Choice(owned).then(self._constituents.countable)
        return joint(owners, what, self._constituents.tense()).map(lambda drawn: Possession(*drawn))

    def _profession(self) -> Distribution[Description]:
        """A name with a profession that fits its gender: no Anna is a king."""

        def with_profession(name: Name) -> Distribution[tuple[NounPhrase, Noun]]:
            nouns = self._lexicon.by_kind["person"]
            fitting = [noun for noun in nouns if _PRONOUNS.get(noun.english, name.pronoun) == name.pronoun]
            return Choice(fitting).map(lambda noun: (NounPhrase(name), noun))

        people = Choice(self._lexicon.names).then(with_profession)
        negated = Choice([False, True], [100 - self._constituents.percent(12), self._constituents.percent(12)])
        return joint(people, self._constituents.tense(), negated).map(lambda drawn: Description(*drawn[0], *drawn[1:]))

    def _modal(self) -> Distribution[Action]:
        modals = Choice(["can", "like", "want"])

        def around(verb: Verb) -> Distribution[Action]:
            place = self._constituents.optional(Choice(self._partners(verb, held=False)), 60)
            subject = self._constituents.heads(verb.subjects).then(self._constituents.subject)
            return joint(modals, subject, place, self._constituents.tense()).map(
                lambda drawn: Action(verb, drawn[1], drawn[3], modal=drawn[0], place=drawn[2])
            )

        return Choice([verb for verb in self.verbs("located") if not verb.needs_companion]).then(around)

    def _simple_predicates(self) -> Distribution[tuple[Verb, ActionFields]]:
        """Predicates without another person, so that they fit any subject."""
        verbs = [(verb, "transitive") for verb in self.verbs("transitive") if not verb.is_about("person")]
        verbs += [(verb, "motion") for verb in self.verbs("motion")]
        return Choice([choice for choice in verbs if "person" in choice[0].subjects]).then(
            lambda choice: self.predicate(choice[1], choice[0], False, None).map(lambda fields: (choice[0], fields))
        )

    def _contrast(self) -> Distribution[Contrast]:
        predicates = self._constituents.cached("predicates", self._simple_predicates)
        pairs = Choice(self._lexicon.names).then(
            lambda first: self._constituents.other_names(first).map(lambda second: (first, second))
        )

        def build_both(drawn: tuple[Any, ...]) -> Contrast:
            (first, second), (verb, fields), (other_verb, other_fields), tense = drawn
            return Contrast(
                Action(verb, NounPhrase(first), tense, **fields),
                Action(other_verb, NounPhrase(second), tense, **other_fields),
            )

        return joint(pairs, predicates, predicates, self._constituents.tense()).map(build_both)

    def _reason(self) -> Distribution[Reason]:
        verbs = [(verb, name) for name in ("transitive", "located") for verb in self.verbs(name)]

        def fitting(name: Name) -> list[tuple[Verb, str, list[Adjective]]]:
            states = {adjective.english: adjective for adjective in self._constituents.adjectives(name)}
            choices = [(*verb, [states[why] for why in verb[0].reasons if why in states]) for verb in verbs]
            return [choice for choice in choices if choice[-1]]

        # In a small lexicon no verb may have a reason in the states that are not held out from a name.
        return Choice([name for name in self._lexicon.names if fitting(name)]).then(
            lambda name: mixture([(self._because(name, *choice), 1) for choice in fitting(name)])
        )

    def _because(self, name: Name, verb: Verb, template: str, states: Sequence[Adjective]) -> Distribution[Reason]:
        fields = self.predicate(template, verb, False, name)
        return joint(fields, Choice(states), self._constituents.tense()).map(
            lambda drawn: Reason(Action(verb, NounPhrase(name), drawn[2], **drawn[0]), drawn[1])
        )


def _build(verb: Verb, subject: Any, when: When, fields: ActionFields) -> Action:
    """An action of its parts."""
    tense, time, frequency = when
    return Action(verb, subject, tense, time=time, frequency=frequency, **fields)
