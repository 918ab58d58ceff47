"""The generator as a whole: counts, probabilities, the floor, and what is held out."""

import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from toy_synthetic import BOTH, CONFIGS, GUIDE, SMALL, TINY, generated, text_of

from lai.config.schema import RunConfig
from lai.data.synthetic import Example, SyntheticConfig, draw, entropy, generate, held_out_prompts
from lai.data.synthetic.tasks import Grammar, tasks
from lai.tokenizer.chat import TO_ENGLISH, TO_HUNGARIAN, Document, parse, render

WORD = re.compile(r"[^\W\d_]+")


@pytest.fixture(scope="module")
def documents() -> list[Example]:
    return generated("full")


def test_the_guides_numbers_make_25000_documents(documents: list[Example]) -> None:
    counts = Counter(example.task for example in documents)
    assert len(documents) == 25000
    assert (counts["sentence"], counts["story"], counts["translation"]) == (10000, 5000, 6000)
    instructions = ("translate", "question", "story_question", "summary", "continuation", "small_talk")
    assert sum(counts[name] for name in instructions) == 4000


def test_more_than_95_percent_are_unique(documents: list[Example]) -> None:
    assert len({example.document for example in documents}) / len(documents) > 0.95
    # Greetings are few, and so are the parts of sentences that are translated by themselves.
    longer = [e.document for e in documents if e.task != "small_talk" and e.document[-1].content[-1:] in b".?!"]
    assert len(set(longer)) / len(longer) > 0.99


def test_every_document_is_one_line_and_survives_its_text_form(documents: list[Example]) -> None:
    for example in documents:
        text = render(example.document)
        assert parse(text) == example.document
        assert text.strip() == text and text.isascii() | bool(text.decode()) and b"\n" not in text and b"{" not in text


def test_a_seed_gives_the_same_documents_and_another_gives_others() -> None:
    short = replace(GUIDE, sentences=500, stories=200, translations=100, instructions=100)
    first, again, other = list(generate(short)), list(generate(short)), list(generate(replace(short, seed=1)))
    assert first == again
    assert len({e.document for e in first} & {e.document for e in other}) < 0.1 * len(first)


def test_the_documents_are_the_same_on_every_platform() -> None:
    """A digest made once; it changes with the words or the grammar, and then only by a new number here."""
    text = b"\n".join(render(example.document) for example in generate(replace(SMALL, sentences=300, stories=100)))
    assert hashlib.sha256(text).hexdigest() == "0dd8e201de59a0b871838b6696e48e7f06bd8cb083775857fcac82f4cc7ae14d"


@pytest.fixture(scope="module")
def counted() -> dict[Document, float]:
    """Every document of the tiny grammar with its probability, summed over derivations."""
    parts = tasks(TINY)
    total = sum(task.total for task in parts)
    found: dict[Document, float] = defaultdict(float)
    for task in parts:
        for made, p in task.draws.outcomes():
            for document in made:
                found[document] += p * task.total / total / len(made)
    return found


def test_probabilities_of_all_documents_sum_to_one_and_give_the_entropy(counted: dict[Document, float]) -> None:
    assert len(counted) > 1000
    assert math.fsum(counted.values()) == pytest.approx(1, abs=1e-9)
    entropy_of_all = -math.fsum(p * math.log(p) for p in counted.values())
    assert entropy(TINY, sample=200).nats_per_document == pytest.approx(entropy_of_all, abs=1e-9)


def test_log_probabilities_of_generated_documents_are_the_counted_ones(counted: dict[Document, float]) -> None:
    for example in generate(TINY):
        assert math.exp(example.log_prob) == pytest.approx(counted[example.document])


def test_a_text_always_has_the_same_probability() -> None:
    """Also of the whole grammar: two derivations of one text would rarely be alike in probability."""
    seen: dict[Document, Example] = {}
    for examples in (generated("small"), generate(replace(SMALL, seed=1))):
        for example in examples:
            other = seen.setdefault(example.document, example)
            assert example.log_prob == pytest.approx(other.log_prob) and example.task == other.task
    assert len(seen) < 0.95 * 50000


def test_documents_are_drawn_with_their_probabilities(counted: dict[Document, float]) -> None:
    drawn = list(draw(TINY, 20000, seed=3))
    assert all(math.exp(example.log_prob) == pytest.approx(counted[example.document]) for example in drawn)
    # The commonest document, a greeting, comes as often as it should.
    document, p = max(counted.items(), key=lambda entry: entry[1])
    often = sum(example.document == document for example in drawn)
    assert often == pytest.approx(20000 * p, abs=5 * math.sqrt(20000 * p))
    mean = -math.fsum(example.log_prob for example in drawn) / len(drawn)
    assert mean == pytest.approx(entropy(TINY, sample=200).nats_per_document, rel=0.02)
    assert drawn[:100] == list(draw(TINY, 100, seed=3)) != list(draw(TINY, 100, seed=4))


def test_the_floor_is_the_mean_surprise(documents: list[Example]) -> None:
    floor = entropy(GUIDE, sample=4000)
    surprise = [-example.log_prob for example in documents]
    mean = math.fsum(surprise) / len(surprise)
    deviation = math.sqrt(math.fsum((s - mean) ** 2 for s in surprise) / len(surprise) / len(surprise))
    assert floor.nats_per_document == pytest.approx(mean, abs=5 * deviation)
    length = math.fsum(len(render(example.document)) for example in documents) / len(documents)
    assert floor.bytes_per_document == pytest.approx(length, abs=6 * floor.bytes_standard_error)
    assert floor.bits_per_byte == pytest.approx(mean / math.log(2) / length, rel=0.02)


TIGHT = [{"lexicon": size, "held_out": held_out} for size in (40, 52, 59) for held_out in (0.1, 0.5)]


@pytest.mark.parametrize("settings", [{"detail": 0}, {"lexicon": 100, "detail": 0.05}, *TIGHT], ids=str)
def test_every_setting_leaves_something_to_choose_from(settings: dict[str, Any]) -> None:
    for task in tasks(replace(GUIDE, **settings)):
        assert task.draws.entropy > 0  # a sum over every choice that there can be


@BOTH
def test_held_out_prompts_are_not_in_the_training_text(lexicon: str) -> None:
    prompts = held_out_prompts(CONFIGS[lexicon], 400)
    assert len(prompts) == len(set(prompts)) == 400
    kinds = Counter((prompt.task, prompt.direction) for prompt in prompts)
    assert set(kinds) == {
        ("translation", "en-hu"), ("translation", "hu-en"), ("question", "en"), ("question", "hu"),
    }  # fmt: skip
    assert min(kinds.values()) > 50
    text = text_of(lexicon)
    for prompt in prompts:
        assert prompt.prompt not in text
        if prompt.task == "translation":
            assert prompt.prompt.removeprefix(TO_ENGLISH).removeprefix(TO_HUNGARIAN) not in text
            assert prompt.answer not in text


def test_the_makefile_asks_for_combinations_that_are_held_out(compose_run: Callable[..., RunConfig]) -> None:
    makefile = (Path(__file__).parents[3] / "Makefile").read_text(encoding="utf-8")
    run = compose_run("experiment=quickstart", "data.seq_len=64")
    constituents = Grammar(SyntheticConfig(**asdict(run.data.synthetic))).constituents
    words = {word.english: word for word in (*constituents.lexicon.nouns, *constituents.lexicon.places)}
    for sentence, verb, partner in (
        ("The cook played in the forest.", "play", "forest"),
        ("A nő megette a krumplit.", "eat", "potato"),
    ):
        assert f":= {sentence}\n" in makefile
        assert constituents.is_held_out(words[partner], [verb]), sentence


@BOTH
def test_every_word_of_held_out_prompts_is_in_the_training_text(lexicon: str) -> None:
    known = set(WORD.findall(text_of(lexicon).decode()))
    prompts = held_out_prompts(CONFIGS[lexicon], 400)
    unknown = [p for p in prompts if not set(WORD.findall((p.prompt + b" " + p.answer).decode())) <= known]
    # A rare form of a rare word may be missing at the guide's size.
    assert len(unknown) < 0.05 * len(prompts)


def test_held_out_prompts_are_of_what_is_trained() -> None:
    def kinds(**changes: Any) -> set[str]:
        return {prompt.task for prompt in held_out_prompts(replace(SMALL, **changes), 40)}

    assert kinds(instruction_mix={"translate": 1, "small_talk": 1}) == {"translation"}
    assert kinds(translations=0, instruction_mix={"question": 1}) == {"question"}
    assert kinds(translations=0, instructions=0) == set()


@pytest.mark.parametrize("held_out", [0.01, 0.02, 0.05])
def test_a_small_share_held_out_leaves_prompts_enough(held_out: float) -> None:
    """Some verbs have one held-out object then, which is none where it is the subject."""
    prompts = held_out_prompts(replace(GUIDE, held_out=held_out), 800)
    assert len(prompts) == 800
    assert min(Counter((prompt.task, prompt.direction) for prompt in prompts).values()) > 100


def test_held_out_prompts_have_one_answer() -> None:
    answers: dict[bytes, bytes] = {}
    for prompt in held_out_prompts(SMALL, 2000):
        assert answers.setdefault(prompt.prompt, prompt.answer) == prompt.answer
