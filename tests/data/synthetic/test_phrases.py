"""Parts of sentences that are translated by themselves: which there are, how often, and that each is said once."""

import math
import random
import re
from collections import Counter
from dataclasses import replace

import pytest

from lai.data.synthetic import SyntheticConfig, generate
from lai.data.synthetic.clauses import LANGUAGES, Action
from lai.data.synthetic.phrases import phrases, realize_phrase
from lai.data.synthetic.tasks import Grammar
from lai.tokenizer.chat import TO_HUNGARIAN


def test_a_share_of_the_translations_are_parts_of_sentences() -> None:
    """They have every noun, place, time and person of a verb, and are translations of each other both ways."""
    config = SyntheticConfig(sentences=0, stories=0, translations=12000, instructions=0, phrases=1.0, phrase_verbs=0.5)
    pairs = {
        (user.content.removeprefix(TO_HUNGARIAN).decode(), assistant.content.decode())
        for user, assistant in (example.document for example in generate(config))
        if user.content.startswith(TO_HUNGARIAN)
    }
    assert len({english for english, _ in pairs}) == len({hungarian for _, hungarian in pairs}) == len(pairs)
    assert ("to the library", "a könyvtárba") in pairs and ("yesterday", "tegnap") in pairs
    assert not any(english[-1] == "." or hungarian[-1] == "." for english, hungarian in pairs)
    said = " ".join(english for english, _ in pairs)
    grammar = Grammar(config)
    nouns = grammar.constituents.lexicon.nouns
    assert sum(noun.english in said for noun in nouns) > 0.98 * len(nouns)
    verbs = [verb.english for verb in grammar.sentences.personal_verbs()]
    spoken = [f"{who} {form} " for who in ("I", "we", "they") for verb in verbs for form in (verb.base, verb.past)]
    assert len(spoken) > 400
    assert sum(any(english.startswith(start) for english, _ in pairs) for start in spoken) > 0.95 * len(spoken)
    prompts = [example.document[0].content.decode() for example in generate(config)]
    verbs_asked = sum(re.match(r"Translate to Hungarian: (I|we|they) ", prompt) is not None for prompt in prompts)
    assert verbs_asked / 12000 == pytest.approx(0.5, abs=0.02)
    sentences = sum(example.document[1].content.endswith(b".") for example in generate(replace(config, phrases=0.3)))
    assert sentences / 24000 == pytest.approx(0.7, abs=0.02)


def test_verbs_by_themselves_have_every_noun_in_the_plural() -> None:
    """Whether few verbs take it or many: forms that are rare in sentences are not rare among the parts."""
    grammar = Grammar(SyntheticConfig(lexicon=420))
    conjugated, source = phrases(grammar.constituents, grammar.sentences, 100), random.Random(1).random
    drawn = [conjugated.sample(source)[0] for _ in range(20000)]
    actions = [part for part in drawn if isinstance(part, Action)]
    assert len(actions) == len(drawn)
    assert sum(action.negated for action in actions) / len(actions) == pytest.approx(0.2, abs=0.02)
    verbs = Counter(action.verb for action in actions)
    assert set(verbs) == set(grammar.sentences.personal_verbs())
    assert min(verbs.values()) > 20000 / len(verbs) / 3
    plurals = Counter(action.object.head for action in actions if action.object and action.object.plural)
    nouns = {noun for verb in verbs for noun in grammar.constituents.objects(verb, held=False)}
    assert min(plurals[noun] for noun in nouns if noun.countable and noun.english_plural != noun.english) >= 5


def test_every_part_of_a_sentence_has_one_derivation() -> None:
    """All are written out: no text comes twice, and their probabilities give the entropy."""
    grammar = Grammar(SyntheticConfig(lexicon=60))
    everything = phrases(grammar.constituents, grammar.sentences, 50)
    outcomes = list(everything.outcomes())
    for language in LANGUAGES:
        assert len({realize_phrase(part, language) for part, _ in outcomes}) == len(outcomes) > 10000
    assert math.fsum(p for _, p in outcomes) == pytest.approx(1)
    assert -math.fsum(p * math.log(p) for _, p in outcomes) == pytest.approx(everything.entropy)
