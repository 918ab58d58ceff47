"""The generated text, against hunspell's dictionaries and the rules of agreement."""

import random
import re

import pytest

from lai.data.synthetic import SyntheticConfig
from lai.data.synthetic.clauses import NounPhrase
from lai.data.synthetic.lexicon import Name
from lai.data.synthetic.tasks import Grammar, realize


@pytest.fixture(scope="module")
def grammar() -> Grammar:
    return Grammar(SyntheticConfig())


def test_definite_objects_take_the_definite_conjugation(grammar: Grammar) -> None:
    """The endings of the third person past tell: -ta/-te, -tta/-tte with a definite object, -t, -tt without."""
    source = random.Random(6).random
    actions = grammar.sentences.actions("transitive")
    seen = {True: 0, False: 0}
    while min(seen.values()) < 500:
        action, _ = actions.sample(source)
        subject = action.subject
        assert action.object
        if action.tense == "present" or not isinstance(subject, NounPhrase) or subject.plural or action.negated:
            continue
        definite = isinstance(action.object.head, Name) or action.object.definite
        verb = action.verb.hungarian.form("past", "3sg", definite)
        assert verb.endswith(("ta", "te") if definite else ("t",)), verb
        assert re.search(rf"{verb}\b", realize(action, "hu"), re.IGNORECASE)
        seen[definite] += 1
