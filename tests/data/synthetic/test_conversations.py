"""Conversations: exact probabilities, known answers, and what they consist of."""

import math
import re
from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache

import pytest

from lai.data.synthetic import (
    Example,
    SyntheticConfig,
    draw,
    entropy,
    generate,
    held_out_conversations,
    held_out_prompts,
)
from lai.data.synthetic.tasks import tasks
from lai.host.errors import UserError
from lai.tokenizer.chat import TO_ENGLISH, TO_HUNGARIAN, Document, is_whole, parse, render

NOTHING = SyntheticConfig(sentences=0, stories=0, translations=0, instructions=0, conversations=3000)

SMALL = replace(NOTHING, lexicon="small", detail=0.3, instruction_mix={"translate": 1, "small_talk": 1})

# Conversations that can be written out: of greetings, and of one question each.
GREETINGS = replace(NOTHING, turns=2, instruction_mix={"small_talk": 1})
ONE_QUESTION = replace(
    NOTHING, turns=1, lexicon=40, templates=("profession",), instruction_mix={"translate": 2, "small_talk": 1}
)


@cache
def generated(config: str) -> list[Example]:
    return list(generate({"all": NOTHING, "small": SMALL}[config]))


@cache
def counted(config: str) -> dict[Document, float]:
    """Every conversation with its probability, summed over derivations."""
    (task,) = tasks({"greetings": GREETINGS, "one question": ONE_QUESTION}[config])
    found: dict[Document, float] = defaultdict(float)
    for (document,), p in task.draws.outcomes():
        found[document] += p
    return found


@pytest.mark.parametrize(("name", "config"), [("greetings", GREETINGS), ("one question", ONE_QUESTION)])
def test_probabilities_sum_to_one_and_give_the_entropy_and_the_log_probabilities(
    name: str, config: SyntheticConfig
) -> None:
    found = counted(name)
    assert len(found) > 1000
    assert math.fsum(found.values()) == pytest.approx(1, abs=1e-9)
    expected = -math.fsum(p * math.log(p) for p in found.values())
    assert entropy(config, sample=200).nats_per_document == pytest.approx(expected, abs=1e-9)
    for example in [*generate(replace(config, conversations=200)), *draw(config, 200, seed=1)]:
        assert example.task == "conversation"
        assert math.exp(example.log_prob) == pytest.approx(found[example.document])


def test_conversations_are_drawn_with_their_probabilities() -> None:
    found = counted("greetings")
    drawn = Counter(example.document for example in draw(GREETINGS, 40000, seed=3))
    for document, p in sorted(found.items(), key=lambda entry: -entry[1])[:20]:
        assert drawn[document] == pytest.approx(40000 * p, abs=5 * math.sqrt(40000 * p))


def test_the_floor_is_the_mean_surprise_and_a_text_always_has_the_same_probability() -> None:
    surprise = [-example.log_prob for example in generated("small")]
    mean = math.fsum(surprise) / len(surprise)
    deviation = math.sqrt(math.fsum((s - mean) ** 2 for s in surprise)) / len(surprise)
    assert entropy(SMALL, sample=200).nats_per_document == pytest.approx(mean, abs=5 * deviation)
    for name in ("small", "all"):
        seen: dict[Document, float] = {}
        for example in generated(name):
            assert example.log_prob == pytest.approx(seen.setdefault(example.document, example.log_prob))


def test_conversations_have_one_to_eight_questions_and_some_a_system_prompt() -> None:
    counts: Counter[int] = Counter()
    with_system: Counter[int] = Counter()
    for example in generated("all"):
        assert is_whole(example.document) and parse(render(example.document)) == example.document
        questions = sum(turn.role == "user" for turn in example.document)
        counts[questions] += 1
        with_system[questions] += example.document[0].role == "system"
    assert set(counts) == set(range(1, 9)) and min(counts.values()) > 50
    assert with_system[1] == counts[1]  # without one it is a document of another task
    later = sum(counts.values()) - counts[1]
    assert sum(with_system.values()) - with_system[1] == pytest.approx(0.2 * later, abs=5 * math.sqrt(0.2 * later))
    shorter = list(generate(replace(SMALL, conversations=300, turns=3)))
    assert {sum(turn.role == "user" for turn in example.document) for example in shorter} == {1, 2, 3}


def test_tasks_and_languages_change_within_a_conversation() -> None:
    in_hungarian = re.compile("[áéíóöőúüű]")
    mixed = 0
    for example in generated("small"):
        prompts = [turn.content.decode() for turn in example.document if turn.role == "user"]
        kinds = {prompt.startswith((TO_ENGLISH.decode(), TO_HUNGARIAN.decode())) for prompt in prompts}
        languages = {bool(in_hungarian.search(prompt)) for prompt in prompts}
        mixed += len(kinds) == len(languages) == 2
    assert mixed > 0.5 * len(generated("small"))


def test_every_question_about_facts_has_its_answer_in_the_sentence_it_asks_about() -> None:
    """The answer is a part of one of the two sentences; "And where?" asks about the sentence of the answer before."""
    config = replace(NOTHING, conversations=400, turns=3, instruction_mix={"question": 1})
    short = 0
    for example in generate(config):
        facts: list[str] = []
        about: list[str] = []
        users = [turn.content.decode() for turn in example.document if turn.role == "user"]
        answers = [turn.content.decode() for turn in example.document if turn.role == "assistant"]
        for question, answer in zip(users, answers, strict=True):
            *told, asked = re.split(r"(?<=\.) ", question)
            facts = told or facts
            assert len(facts) == 2
            found = [fact for fact in facts if answer.removesuffix(".").lower() in fact.lower()]
            assert found, (facts, question, answer)
            if asked in ("And where?", "And where to?", "És hol?", "És hova?"):
                assert set(found) & set(about)
                short += 1
            about = found
    assert short > 20


def test_no_story_is_asked_the_same_question_twice() -> None:
    config = replace(NOTHING, conversations=200, turns=3, instruction_mix={"story_question": 1, "summary": 1})
    follow_ups = 0
    for example in generate(config):
        asked: set[bytes] = set()
        for turn in example.document:
            if turn.role == "user":
                is_story = turn.content.count(b". ") > 2
                asked = set() if is_story else asked
                assert turn.content not in asked
                asked.add(turn.content.rsplit(b". ", 1)[-1])
                follow_ups += not is_story
    assert follow_ups > 50


def test_held_out_combinations_are_in_no_conversation_but_in_those_of_the_test_set() -> None:
    text = b"\n".join(render(example.document) for example in generated("small"))
    for prompt in held_out_prompts(SMALL, 300):
        assert prompt.prompt.removeprefix(TO_ENGLISH).removeprefix(TO_HUNGARIAN) not in text
    asked = held_out_conversations(SMALL, 100)
    assert asked == held_out_conversations(SMALL, 100) and len(set(asked)) == 100
    translations = [
        turn.content
        for conversation in asked
        for turn in conversation
        if turn.role == "user" and turn.content.startswith((TO_ENGLISH, TO_HUNGARIAN))
    ]
    assert len(translations) > 300
    assert not any(translation in text for translation in translations)
    assert {sum(turn.role == "user" for turn in conversation) for conversation in asked} == {8}


def test_conversations_about_held_out_words_need_some() -> None:
    with pytest.raises(UserError, match="no combination of words is held out"):
        held_out_conversations(replace(SMALL, held_out=0), 1)


def test_small_talk_has_the_answer_that_it_has_alone() -> None:
    alone = {
        example.document[0].content: example.document[1].content
        for example in generate(SyntheticConfig(sentences=0, stories=0, translations=0, instructions=3000))
        if example.task == "small_talk"
    }
    seen = 0
    for example in generated("small"):
        turns = example.document[example.document[0].role == "system" :]
        for question, answer in zip(turns[::2], turns[1::2], strict=True):
            if question.content in alone:
                assert answer.content == alone[question.content]
                seen += 1
    assert seen > 1000
