"""Clauses in both languages, against translations written by hand."""

import pytest

from lai.data.synthetic import realize_en, realize_hu
from lai.data.synthetic.clauses import (
    PRONOUNS,
    Action,
    Clause,
    Contrast,
    Description,
    Existence,
    NounPhrase,
    Possession,
    Reason,
    Subject,
)
from lai.data.synthetic.lexicon import Verb, load_lexicon

LEXICON = load_lexicon()
NOUNS = {noun.english: noun for noun in LEXICON.nouns}
NAMES = {name.english: name for name in LEXICON.names}
ADJECTIVES = {adjective.english: adjective for adjective in LEXICON.adjectives}
PLACES = {place.english: place for place in LEXICON.places}
VERBS: dict[str, Verb] = {verb.english.base: verb for verb in (*LEXICON.verbs, *LEXICON.intransitive_verbs)}
TIMES = {time.english: time for time in LEXICON.times}
NUMBERS = {number.english: number for number in LEXICON.numbers}
OFTEN, ALWAYS = LEXICON.frequencies[:2]
ME, WE, THEY = PRONOUNS
ANNA, PETER = NounPhrase(NAMES["Anna"]), NounPhrase(NAMES["Péter"])


def the(noun: str, plural: bool = False, adjective: str | None = None) -> NounPhrase:
    return NounPhrase(NOUNS[noun], True, plural, ADJECTIVES.get(adjective or ""))


def a(noun: str, adjective: str | None = None) -> NounPhrase:
    return NounPhrase(NOUNS[noun], False, False, ADJECTIVES.get(adjective or ""))


def several(number: str, noun: str) -> NounPhrase:
    return NounPhrase(NOUNS[noun], False, number=NUMBERS[number])


def act(verb: str, subject: Subject, tense: str = "past", **parts: object) -> Action:
    return Action(VERBS[verb], subject, tense, **parts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("clause", "english", "hungarian"),
    [
        (act("eat", ME, object=a("apple")), "I ate an apple.", "Ettem egy almát."),
        (act("eat", ME, object=the("apple")), "I ate the apple.", "Megettem az almát."),
        (act("eat", WE, "present", object=the("apple")), "We eat the apple.", "Esszük az almát."),
        (act("eat", THEY, "present", object=a("pear")), "They eat a pear.", "Esznek egy körtét."),
        (act("drink", ANNA, object=a("water")), "Anna drank water.", "Anna vizet ivott."),
        (act("drink", ANNA, object=a("milk", "cold")), "Anna drank cold milk.", "Anna hideg tejet ivott."),
        (act("buy", ANNA, object=several("two", "apple")), "Anna bought two apples.", "Anna vett két almát."),
        (
            act("read", ANNA, object=the("book"), place=PLACES["garden"], time=TIMES["yesterday"]),
            "Yesterday Anna read the book in the garden.",
            "Tegnap Anna elolvasta a könyvet a kertben.",
        ),
        (
            act("read", ANNA, object=the("book"), negated=True),
            "Anna did not read the book.",
            "Anna nem olvasta el a könyvet.",
        ),
        (
            act("read", ANNA, "present", object=the("book"), negated=True),
            "Anna does not read the book.",
            "Anna nem olvassa a könyvet.",
        ),
        (act("see", ANNA, object=PETER), "Anna saw Péter.", "Anna látta Pétert."),
        (
            act("see", the("child", plural=True), object=the("bird", True, "white")),
            "The children saw the white birds.",
            "A gyerekek látták a fehér madarakat.",
        ),
        (
            act("give", ANNA, object=the("umbrella"), recipient=NAMES["Péter"]),
            "Anna gave the umbrella to Péter.",
            "Anna odaadta az esernyőt Péternek.",
        ),
        (
            act("give", ANNA, object=a("umbrella"), recipient=NAMES["Balázs"]),
            "Anna gave an umbrella to Balázs.",
            "Anna adott egy esernyőt Balázsnak.",
        ),
        (act("sleep", WE, place=PLACES["house"]), "We slept in the house.", "A házban aludtunk."),
        (
            act("sleep", ANNA, place=PLACES["house"], negated=True),
            "Anna did not sleep in the house.",
            "Anna nem aludt a házban.",
        ),
        (
            act("play", the("girl"), place=PLACES["playground"], companion=NAMES["Tamás"]),
            "The girl played with Tamás at the playground.",
            "A lány Tamással játszott a játszótéren.",
        ),
        (act("go", THEY, destination=PLACES["market"]), "They went to the market.", "A piacra mentek."),
        (
            act("travel", ANNA, destination=PLACES["Budapest"], vehicle=NOUNS["train"]),
            "Anna traveled to Budapest by train.",
            "Anna vonattal utazott Budapestre.",
        ),
        (
            act("return", ANNA, destination=PLACES["village"]),
            "Anna returned to the village.",
            "Anna visszatért a faluba.",
        ),
        (
            act("return", ANNA, destination=PLACES["village"], negated=True),
            "Anna did not return to the village.",
            "Anna nem tért vissza a faluba.",
        ),
        (
            act("drink", ANNA, "present", object=a("milk"), frequency=OFTEN),
            "Anna often drinks milk.",
            "Anna gyakran iszik tejet.",
        ),
        (
            act("drink", ANNA, "present", object=a("milk"), frequency=ALWAYS),
            "Anna always drinks milk.",
            "Anna mindig tejet iszik.",
        ),
        (act("swim", PETER, "present", modal="can"), "Péter can swim.", "Péter tud úszni."),
        (act("swim", PETER, "past", modal="can"), "Péter could swim.", "Péter tudott úszni."),
        (act("swim", WE, "present", modal="like"), "We like to swim.", "Szeretünk úszni."),
        (act("swim", PETER, "present", modal="want"), "Péter wants to swim.", "Péter úszni akar."),
        (Description(PETER, ADJECTIVES["hungry"], "present"), "Péter is hungry.", "Péter éhes."),
        (Description(the("dog", True), ADJECTIVES["hungry"], "present"), "The dogs are hungry.", "A kutyák éhesek."),
        (Description(the("cat"), ADJECTIVES["small"], "past"), "The cat was small.", "A macska kicsi volt."),
        (
            Description(the("cat"), ADJECTIVES["small"], "past", True),
            "The cat was not small.",
            "A macska nem volt kicsi.",
        ),
        (Description(the("cat"), ADJECTIVES["big"], "present", True), "The cat is not big.", "A macska nem nagy."),
        (
            Description(NounPhrase(NOUNS["dog"], owner=NAMES["Anna"]), ADJECTIVES["sad"], "present"),
            "Anna's dog is sad.",
            "Anna kutyája szomorú.",
        ),
        (Description(PETER, NOUNS["engineer"], "present"), "Péter is an engineer.", "Péter mérnök."),
        (Possession(ANNA, a("horse", "small"), "present"), "Anna has a small horse.", "Annának van egy kis lova."),
        (Possession(the("man"), several("two", "car"), "past"), "The man had two cars.", "A férfinak két autója volt."),
        (Existence(a("fox"), PLACES["forest"], "present"), "There is a fox in the forest.", "Az erdőben van egy róka."),
        (
            Existence(several("three", "child"), PLACES["bridge"], "past"),
            "There were three children on the bridge.",
            "A hídon három gyerek volt.",
        ),
        (
            Contrast(act("eat", ANNA, object=a("plum")), act("go", PETER, destination=PLACES["school"])),
            "Anna ate a plum, and Péter went to the school.",
            "Anna evett egy szilvát, Péter pedig az iskolába ment.",
        ),
        (
            Reason(act("eat", ANNA, object=a("apple")), ADJECTIVES["hungry"]),
            "Anna ate an apple because she was hungry.",
            "Anna evett egy almát, mert éhes volt.",
        ),
        (
            Reason(act("sleep", PETER, "present", place=PLACES["room"]), ADJECTIVES["tired"]),
            "Péter sleeps in the room because he is tired.",
            "Péter a szobában alszik, mert fáradt.",
        ),
    ],
)  # fmt: skip
def test_a_clause_has_one_sentence_in_each_language(clause: Clause, english: str, hungarian: str) -> None:
    assert realize_en.sentence(clause) == english
    assert realize_hu.sentence(clause) == hungarian
