"""Questions about facts: what is asked, and that the facts tell the answer."""

import random

import pytest

from lai.data.synthetic import SyntheticConfig
from lai.data.synthetic.clauses import Action, NounPhrase
from lai.data.synthetic.lexicon import load_lexicon
from lai.data.synthetic.questions import Question
from lai.data.synthetic.tasks import Grammar

LEXICON = load_lexicon()
ANNA, PETER = (next(name for name in LEXICON.names if name.english == english) for english in ("Anna", "Péter"))
BOOK, APPLE = (next(noun for noun in LEXICON.nouns if noun.english == english) for english in ("book", "apple"))
READ, BUY = (next(verb for verb in LEXICON.verbs if verb.english.base == base) for base in ("read", "buy"))
FACTS = (
    Action(READ, NounPhrase(ANNA), "past", object=NounPhrase(BOOK)),
    Action(BUY, NounPhrase(PETER), "past", object=NounPhrase(APPLE)),
)


@pytest.mark.parametrize(
    ("about", "asked", "english", "answer", "hungarian", "hungarian_answer"),
    [
        (0, "what", "What did Anna read?", "The book.", "Mit olvasott el Anna?", "A könyvet."),
        (1, "who", "Who bought the apple?", "Péter.", "Ki vette meg az almát?", "Péter."),
    ],
)
def test_a_question_by_hand(
    about: int, asked: str, english: str, answer: str, hungarian: str, hungarian_answer: str
) -> None:
    question = Question(FACTS, about, asked)  # type: ignore[arg-type]
    assert question.prompt("en") == f"Anna read the book. Péter bought the apple. {english}"
    assert question.answer("en") == answer
    assert question.prompt("hu").endswith(hungarian)
    assert question.answer("hu") == hungarian_answer


def test_only_one_fact_answers_a_question() -> None:
    questions, source = Grammar(SyntheticConfig(lexicon="small")).questions(), random.Random(0).random
    for _ in range(500):
        question, _ = questions.sample(source)
        first, second = question.facts
        assert first.subject.head is not second.subject.head and first.verb is not second.verb
        assert question.answer("en")[:-1].lower() in question.prompt("en").lower()
