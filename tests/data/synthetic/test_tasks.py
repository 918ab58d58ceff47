"""Tasks: translation pairs, repetitions and small talk."""

from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache

import pytest

from lai.data.synthetic import Example, SyntheticConfig, generate
from lai.tokenizer.chat import TO_ENGLISH, TO_HUNGARIAN, split_key, translation_examples

GUIDE = SyntheticConfig()

SMALL = SyntheticConfig(lexicon="small")

CONFIGS = {"full": GUIDE, "small": SMALL}


@cache
def generated(lexicon: str) -> list[Example]:
    return list(generate(CONFIGS[lexicon]))


@pytest.fixture(scope="module")
def documents() -> list[Example]:
    return generated("full")


def test_translations_are_functions_both_ways() -> None:
    """No English sentence has two Hungarian ones, nor the other way round."""
    to_hungarian: dict[bytes, bytes] = {}
    to_english: dict[bytes, bytes] = {}
    for config in (SMALL, GUIDE):
        for example in generate(replace(config, sentences=0, stories=0, translations=10000, instructions=0)):
            user, assistant = example.document
            if user.content.startswith(TO_HUNGARIAN):
                english, hungarian = user.content.removeprefix(TO_HUNGARIAN), assistant.content
                assert to_hungarian.setdefault(english, hungarian) == hungarian
                assert to_english.setdefault(hungarian, english) == english
    assert len(to_hungarian) == len(to_english) > 15000


def test_each_pair_is_there_in_both_directions_and_lies_on_one_side_of_a_split(documents: list[Example]) -> None:
    translations = Counter(example.document for example in documents if example.task == "translation")
    for document in translations:
        user, assistant = document
        if user.content.startswith(TO_HUNGARIAN):
            pair = translation_examples(user.content.removeprefix(TO_HUNGARIAN), assistant.content)
            assert translations[pair[0]] == translations[pair[1]]
            assert split_key(pair[0]) == split_key(pair[1])
    assert sum(user.content.startswith(TO_ENGLISH) for user, _ in translations.elements()) == 3000


def test_pairs_are_repeated_as_often_as_asked() -> None:
    config = SyntheticConfig(sentences=0, stories=0, translations=500, instructions=0, repetitions=4)
    counts = Counter(example.document for example in generate(config))
    assert sum(counts.values()) == 4000
    assert all(count % 4 == 0 for count in counts.values())


def test_greetings_are_frequent_and_have_one_answer(documents: list[Example]) -> None:
    answers: dict[bytes, set[bytes]] = defaultdict(set)
    counts: Counter[bytes] = Counter()
    for example in documents:
        if example.task == "small_talk":
            user, assistant = example.document
            answers[user.content].add(assistant.content)
            counts[user.content] += 1
    assert answers[b"Hello, how are you?"] == {b"I am fine, thank you. How can I help?"}
    assert counts[b"Hello, how are you?"] > 20
    assert all(len(given) == 1 for given in answers.values())
