"""The kinds of sentences."""

from dataclasses import replace

import pytest

from lai.data.synthetic import TEMPLATES, SyntheticConfig
from lai.data.synthetic.tasks import Grammar, realize

# A grammar that can be written out: few words, no stories, two tasks in two languages and translations.
TINY = SyntheticConfig(
    sentences=40,
    stories=0,
    translations=30,
    instructions=20,
    lexicon=40,
    templates=("description", "motion", "profession"),
    instruction_mix={"translate": 3, "small_talk": 1},
    detail=0.5,
)


@pytest.mark.parametrize("template", [name for name in TEMPLATES if name not in ("contrast", "reason")])
def test_every_kind_of_sentence_has_one_derivation_a_sentence(template: str) -> None:
    """Different clauses are different sentences in both languages, so their probabilities are those of the text."""
    grammar = Grammar(replace(TINY, templates=(template,), detail=1.0 if template == "description" else 0.0))
    clauses = [clause for clause, _ in grammar.clauses.outcomes()]
    assert len(clauses) > 20
    for language in ("en", "hu"):
        assert len({realize(clause, language) for clause in clauses}) == len(clauses)
