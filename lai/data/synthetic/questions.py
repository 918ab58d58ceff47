"""Questions about two preceding facts: who, what, where."""

from dataclasses import dataclass
from typing import Literal

from lai.data.synthetic import inflect_en, inflect_hu, realize_en, realize_hu
from lai.data.synthetic.clauses import Action, Language, NounPhrase
from lai.data.synthetic.constituents import Constituents
from lai.data.synthetic.grammar import Choice, Distribution, joint
from lai.data.synthetic.lexicon import Name, Verb
from lai.data.synthetic.sentences import ActionFields, Sentences

Asked = Literal["who", "what", "where"]


@dataclass(frozen=True, eq=False)
class Question:
    """Two facts about different people doing different things, and what is asked about one of them."""

    facts: tuple[Action, Action]
    about: int
    asked: Asked

    def prompt(self, language: Language) -> str:
        """The facts and the question."""
        sentence = realize_en.sentence if language == "en" else realize_hu.sentence
        ask = _ask_in_english if language == "en" else _ask_in_hungarian
        return " ".join((*map(sentence, self.facts), ask(self.facts[self.about], self.asked)))

    def answer(self, language: Language) -> str:
        """The part of the fact that was asked for, as a short sentence."""
        fact = self.facts[self.about]
        if language == "en":
            return inflect_en.finish(_answer_in_english(fact, self.asked)) + "."
        return inflect_hu.finish(_answer_in_hungarian(fact, self.asked)) + "."


def questions(constituents: Constituents, sentences: Sentences, held: bool = False) -> Distribution[Question]:
    """All questions; with `held`, "what" about a fact whose verb and object are a held-out combination."""
    transitive = [
        verb for verb in sentences.verbs("transitive") if "person" in verb.subjects and not verb.is_about("person")
    ]
    verbs = transitive + sentences.verbs("motion")
    asked_verbs = [verb for verb in transitive if constituents.objects(verb, held=True)] if held else verbs

    def facts(asked: Verb) -> Distribution[Question]:
        others = Choice([verb for verb in verbs if verb is not asked])
        return others.then(lambda other: around(asked, other))

    def around(asked: Verb, other: Verb) -> Distribution[Question]:
        kinds: list[Asked] = ["who", "what"] if asked.kind == "object" else ["who"]
        if asked.places:
            kinds.append("where")
        kinds = ["what"] if held else kinds
        choices = joint(
            names,
            _action_fields(constituents, asked, held),
            _action_fields(constituents, other, False),
            Choice([0, 1]),
            Choice(kinds),
        )
        return choices.map(lambda drawn: _build((asked, other), *drawn))

    names = Choice(constituents.lexicon.names).then(
        lambda first: constituents.other_names(first).map(lambda second: (first, second))
    )
    return Choice(asked_verbs).then(facts)


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
    fact = Action(verbs[0], NounPhrase(names[0]), "past", **fields)
    other = Action(verbs[1], NounPhrase(names[1]), "past", **other_fields)
    return Question((fact, other) if about == 0 else (other, fact), about, asked)


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
