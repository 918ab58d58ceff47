"""Questions about two preceding facts: who, what, where."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Literal, TypeVar

from lai.data.synthetic import inflect_en, inflect_hu, realize_en, realize_hu
from lai.data.synthetic.clauses import Action, Language, NounPhrase
from lai.data.synthetic.constituents import Constituents
from lai.data.synthetic.grammar import Choice, Distribution, joint
from lai.data.synthetic.lexicon import Name, Verb
from lai.data.synthetic.sentences import ActionFields, Sentences

Asked = Literal["who", "what", "where"]

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Question:
    """Two facts about different people doing different things, and what is asked about one of them."""

    facts: tuple[Action, Action]
    about: int
    asked: Asked

    def prompt(self, language: Language) -> str:
        """The facts and the question."""
        return f"{_tell(self.facts, language)} {_ask(self.facts[self.about], self.asked, language)}"

    def answer(self, language: Language) -> str:
        """The part of the fact that was asked for, as a short sentence."""
        return _answer(self.facts[self.about], self.asked, language)


@dataclass(frozen=True, slots=True)
class Asking:
    """What is asked about which of the facts; `short` asks where, of the fact of the question before."""

    about: int
    asked: Asked
    short: bool = False


@dataclass(frozen=True, eq=False)
class Interview:
    """Two facts about different people doing different things, and different questions about them."""

    facts: tuple[Action, Action]
    askings: Sequence[Asking]

    def exchanges(self, language: Language) -> list[tuple[str, str]]:
        """The questions with their answers; the facts stand before the first question."""
        told = [(self._ask(asking, language), self._answer(asking, language)) for asking in self.askings]
        (first, answer), *others = told
        return [(f"{_tell(self.facts, language)} {first}", answer), *others]

    def _ask(self, asking: Asking, language: Language) -> str:
        fact = self.facts[asking.about]
        return _ask_where_shortly(fact, language) if asking.short else _ask(fact, asking.asked, language)

    def _answer(self, asking: Asking, language: Language) -> str:
        return _answer(self.facts[asking.about], asking.asked, language)


def interviews(constituents: Constituents, sentences: Sentences, count: int) -> Distribution[Interview]:
    """All pairs of facts with `count` different questions about them, in every order."""
    verbs = _asked_verbs(sentences)

    def around(first: Verb, second: Verb) -> Distribution[Interview]:
        fields = (_action_fields(constituents, verb, False) for verb in (first, second))
        orders = _orders((_kinds(first), _kinds(second)), count)
        return joint(_two_names(constituents), *fields, Choice(orders)).map(
            lambda drawn: Interview(_facts((first, second), drawn[0], drawn[1:3]), drawn[3])
        )

    return _different_verbs(verbs, verbs, around)


def _orders(kinds: tuple[Sequence[Asked], Sequence[Asked]], count: int) -> list[tuple[Asking, ...]]:
    """Every row of `count` different questions; where, of the fact of the question before, may also be short."""
    possible = [(about, asked) for about in (0, 1) for asked in kinds[about]]
    orders: list[tuple[Asking, ...]] = []
    for chosen in permutations(possible, count):
        rows: list[tuple[Asking, ...]] = [()]
        for about, asked in chosen:
            long = [(*row, Asking(about, asked)) for row in rows]
            short = [(*row, Asking(about, asked, True)) for row in rows if row and row[-1].about == about]
            rows = long + (short if asked == "where" else [])
        orders += rows
    return orders


def questions(constituents: Constituents, sentences: Sentences, held: bool = False) -> Distribution[Question]:
    """All questions; with `held`, "what" about a fact whose verb and object are a held-out combination."""
    verbs = _asked_verbs(sentences)
    asked_verbs = [verb for verb in verbs if verb.kind == "object"]
    asked_verbs = [verb for verb in asked_verbs if constituents.objects(verb, held=True)] if held else verbs

    def around(asked: Verb, other: Verb) -> Distribution[Question]:
        kinds: list[Asked] = ["what"] if held else _kinds(asked)
        choices = joint(
            _two_names(constituents),
            _action_fields(constituents, asked, held),
            _action_fields(constituents, other, False),
            Choice([0, 1]),
            Choice(kinds),
        )
        return choices.map(lambda drawn: _build((asked, other), *drawn))

    return _different_verbs(asked_verbs, verbs, around)


def _asked_verbs(sentences: Sentences) -> list[Verb]:
    """The verbs of facts: what a person does to a thing, and where a person goes."""
    transitive = [
        verb for verb in sentences.verbs("transitive") if "person" in verb.subjects and not verb.is_about("person")
    ]
    return transitive + sentences.verbs("motion")


def _different_verbs(
    first: Sequence[Verb], second: Sequence[Verb], around: Callable[[Verb, Verb], Distribution[T]]
) -> Distribution[T]:
    """What `around` makes of a verb of `first` and another one of `second`."""

    def others(verb: Verb) -> Distribution[T]:
        return Choice([other for other in second if other is not verb]).then(lambda other: around(verb, other))

    return Choice(first).then(others)


def _kinds(verb: Verb) -> list[Asked]:
    """What may be asked about a fact with this verb."""
    kinds: list[Asked] = ["who", "what"] if verb.kind == "object" else ["who"]
    return [*kinds, "where"] if verb.places else kinds


def _two_names(constituents: Constituents) -> Distribution[tuple[Name, Name]]:
    return constituents.cached(
        "two names",
        lambda: Choice(constituents.lexicon.names).then(
            lambda first: constituents.other_names(first).map(lambda second: (first, second))
        ),
    )


def _facts(
    verbs: tuple[Verb, Verb], names: tuple[Name, Name], fields: tuple[ActionFields, ActionFields]
) -> tuple[Action, Action]:
    first, second = (
        Action(verb, NounPhrase(name), "past", **parts) for verb, name, parts in zip(verbs, names, fields, strict=True)
    )
    return first, second


def _action_fields(constituents: Constituents, verb: Verb, held: bool) -> Distribution[ActionFields]:
    return constituents.cached(("fact", verb, held), lambda: _new_action_fields(constituents, verb, held))


def _new_action_fields(constituents: Constituents, verb: Verb, held: bool) -> Distribution[ActionFields]:
    if verb.kind == "go":
        return Choice(constituents.places(verb)).map(lambda place: {"destination": place})
    objects = Choice(constituents.objects(verb, held)).then(
        lambda noun: constituents.object(noun, constituents.determination(verb))
    )
    return joint(objects, constituents.optional_place(verb, 100)).map(
        lambda drawn: {"object": drawn[0], "place": drawn[1]}
    )


def _build(
    verbs: tuple[Verb, Verb],
    names: tuple[Name, Name],
    fields: ActionFields,
    other_fields: ActionFields,
    about: int,
    asked: Asked,
) -> Question:
    """The question about the first verb's fact, which stands first or second in the text."""
    fact, other = _facts(verbs, names, (fields, other_fields))
    return Question((fact, other) if about == 0 else (other, fact), about, asked)


def _tell(facts: Sequence[Action], language: Language) -> str:
    return " ".join(map(realize_en.sentence if language == "en" else realize_hu.sentence, facts))


def _ask(fact: Action, asked: Asked, language: Language) -> str:
    return _ask_in_english(fact, asked) if language == "en" else _ask_in_hungarian(fact, asked)


def _ask_where_shortly(fact: Action, language: Language) -> str:
    if language == "en":
        return "And where to?" if fact.destination else "And where?"
    return "És hova?" if fact.destination else "És hol?"


def _answer(fact: Action, asked: Asked, language: Language) -> str:
    if language == "en":
        return inflect_en.finish(_answer_in_english(fact, asked)) + "."
    return inflect_hu.finish(_answer_in_hungarian(fact, asked)) + "."


def _answer_in_english(fact: Action, asked: Asked) -> str:
    if asked == "where":
        place = fact.destination or fact.place
        assert place
        return realize_en.place_phrase(place, motion=fact.destination is not None)
    answer = fact.object if asked == "what" else fact.subject
    assert answer
    return realize_en.noun_phrase(answer)


def _answer_in_hungarian(fact: Action, asked: Asked) -> str:
    if asked == "where":
        place = fact.destination or fact.place
        assert place
        return realize_hu.place_phrase(place, motion=fact.destination is not None)
    if asked == "who":
        return realize_hu.noun_phrase(fact.subject)
    assert fact.object
    return realize_hu.noun_phrase(fact.object, "accusative")


def _ask_in_english(fact: Action, asked: Asked) -> str:
    verb = fact.verb.english
    if asked == "who":
        rest = realize_en.complements(fact, without="place")
        return inflect_en.finish(" ".join(["who", verb.past, *rest])) + "?"
    if asked == "what":
        return f"What did {realize_en.noun_phrase(fact.subject)} {verb.base}?"
    rest = ["to"] if fact.destination else realize_en.complements(fact, without="place")
    return inflect_en.finish(" ".join(["where did", realize_en.noun_phrase(fact.subject), verb.base, *rest])) + "?"


def _ask_in_hungarian(fact: Action, asked: Asked) -> str:
    """The question word stands right before the verb and sends the prefix behind it: Ki olvasta el a könyvet?"""
    prefix, verb = realize_hu.verb_parts(fact)
    subject = realize_hu.noun_phrase(fact.subject)
    object_phrase = realize_hu.noun_phrase(fact.object, "accusative") if fact.object else ""
    if asked == "what":
        # A question about the object conjugates as if it were indefinite: Mit olvasott el Anna?
        order = ["mit", fact.verb.hungarian.form(fact.tense, "3sg", definite=False), prefix, subject]
    elif asked == "who":
        goal = realize_hu.place_phrase(fact.destination, motion=True) if fact.destination else ""
        order = ["ki", verb, prefix, object_phrase, goal]
    else:
        order = ["hova" if fact.destination else "hol", verb, prefix, subject, object_phrase]
    return inflect_hu.finish(" ".join(word for word in order if word)) + "?"
