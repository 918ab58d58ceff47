"""The kinds of sentences."""

from dataclasses import replace

import pytest
from toy_synthetic import TINY

from lai.data.synthetic import TEMPLATES
from lai.data.synthetic.tasks import Grammar, realize


@pytest.mark.parametrize("template", [name for name in TEMPLATES if name not in ("contrast", "reason")])
def test_every_kind_of_sentence_has_one_derivation_a_sentence(template: str) -> None:
    """Different clauses are different sentences in both languages, so their probabilities are those of the text."""
    grammar = Grammar(replace(TINY, templates=(template,), detail=1.0 if template == "description" else 0.0))
    clauses = [clause for clause, _ in grammar.clauses.outcomes()]
    assert len(clauses) > 20
    for language in ("en", "hu"):
        assert len({realize(clause, language) for clause in clauses}) == len(clauses)
