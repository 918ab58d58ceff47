"""Synthetic text: grammatical Hungarian and English with exactly known entropy.

    config → tasks (distributions over documents, each with its share) → documents, and the entropy of the whole

A document's probability is its task's share times its probability within the task. No document comes from two tasks or
from two derivations, so probabilities of choices multiply and their entropies add up (`grammar`).
"""

import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from lai.data.synthetic.clauses import LANGUAGES
from lai.data.synthetic.config import INSTRUCTION_MIX, SyntheticConfig
from lai.data.synthetic.grammar import Choice, Distribution, NothingToChoose, Random
from lai.data.synthetic.questions import Question
from lai.data.synthetic.sentences import TEMPLATES
from lai.data.synthetic.tasks import Documents, Grammar, Task, tasks, turns
from lai.host.errors import UserError
from lai.tokenizer.chat import Document, render

__all__ = [
    "INSTRUCTION_MIX",
    "TEMPLATES",
    "EntropyFloor",
    "Example",
    "Prompt",
    "SyntheticConfig",
    "draw",
    "entropy",
    "generate",
    "held_out_conversations",
    "held_out_prompts",
]


@dataclass(frozen=True, slots=True)
class Example:
    """A document, its task, and the log-probability (nats) that the generator's next document is this one."""

    document: Document
    task: str
    log_prob: float


@dataclass(frozen=True)
class EntropyFloor:
    """The lowest loss that any model can have, on average, on the generator's text.

    Args:
        nats_per_document: the entropy of a document, its end included; a sum over the grammar, exact.
        bytes_per_document: the mean length of a document's text form, from a sample, with its standard error.
    """

    nats_per_document: float
    bytes_per_document: float
    bytes_standard_error: float

    @property
    def bits_per_byte(self) -> float:
        """The floor of `val/bpb`."""
        return self.nats_per_document / math.log(2) / self.bytes_per_document


@dataclass(frozen=True, slots=True)
class Prompt:
    """A user's prompt and its one right answer; `direction` is en-hu, hu-en, or the language of a question."""

    task: str
    direction: str
    prompt: bytes
    answer: bytes


def generate(config: SyntheticConfig) -> Iterator[Example]:
    """Generate exactly the documents that `config` counts, in random order; a seed gives the same on all platforms."""
    source = random.Random(config.seed).random
    all_tasks = tasks(config)
    total = sum(task.total for task in all_tasks)
    examples: list[Example] = []
    for task in all_tasks:
        share = math.log(task.total / total) - math.log(task.documents)
        for _ in range(task.count):
            documents, log_prob = task.draws.sample(source)
            drawn = [Example(document, task.name, share + log_prob) for document in documents]
            examples.extend(drawn * task.repetitions)
    _shuffle(examples, source)
    return iter(examples)


def draw(config: SyntheticConfig, count: int, seed: int) -> Iterator[Example]:
    """Draw documents one by one, each with exactly its probability; `generate` counts them out by task instead.

    The mean of -log_prob estimates the entropy. No model has, on average, a lower loss on these documents.
    """
    source = random.Random(f"draw {seed}").random
    all_tasks = tasks(config)
    kinds = Choice(all_tasks, [task.total for task in all_tasks])
    for _ in range(count):
        task, share = kinds.sample(source)
        documents, log_prob = task.draws.sample(source)
        document = documents[int(source() * len(documents))]
        yield Example(document, task.name, share - math.log(len(documents)) + log_prob)


def entropy(config: SyntheticConfig, sample: int = 20000) -> EntropyFloor:
    """The floor: entropy as an exact sum, mean length from `sample` documents or so, in the shares of the tasks."""
    source = random.Random(config.seed).random
    all_tasks = tasks(config)
    total = sum(task.total for task in all_tasks)
    nats = mean = variance = 0.0
    for task in all_tasks:
        share = task.total / total
        nats += share * (task.draws.entropy + math.log(task.documents) - math.log(share))
        task_mean, task_variance = _length(task, source, max(100, math.ceil(share * sample)))
        mean += share * task_mean
        variance += share * share * task_variance
    return EntropyFloor(nats, mean, math.sqrt(variance))


def _length(task: Task, source: Random, draws: int) -> tuple[float, float]:
    """The mean number of bytes of a task's documents, and that mean's variance."""
    lengths = []
    for _ in range(draws):
        documents, _ = task.draws.sample(source)
        lengths.append(math.fsum(len(render(document)) for document in documents) / len(documents))
    mean = math.fsum(lengths) / draws
    return mean, math.fsum((length - mean) ** 2 for length in lengths) / (draws - 1) / draws


def _shuffle(examples: list[Example], source: Random) -> None:
    """The Fisher-Yates shuffle, with the one method of `random` whose numbers stay the same in all Python versions."""
    for last in range(len(examples) - 1, 0, -1):
        other = int(source() * (last + 1))
        examples[last], examples[other] = examples[other], examples[last]


def held_out_prompts(config: SyntheticConfig, limit: int) -> list[Prompt]:
    """At most `limit` different prompts about held-out word combinations, of the kinds that the text trains, in turn.

    The prompts depend on the seed. The held-out combinations do not: data of all seeds leave out the same ones.

    Raises:
        UserError: no combination is held out.
    """
    source = random.Random(config.seed).random
    with _nothing_held_out():
        draws = _held_out_draws(config, source)
    found: dict[Prompt, None] = {}
    # A small lexicon may have fewer prompts than requested, so the number of draws is limited.
    for _ in range(4 * limit + 100):
        for draw_prompts in draws:
            # A subject is never its own object, so a verb with one held-out object may have none left.
            with suppress(NothingToChoose):
                found.update(dict.fromkeys(draw_prompts()))
        if len(found) >= limit:
            break
    return list(found)[:limit]


def held_out_conversations(config: SyntheticConfig, count: int) -> list[Document]:
    """Conversations of the maximum number of questions, whose translations are about held-out word combinations.

    Raises:
        UserError: no combination is held out, but conversations have translations.
    """
    source = random.Random(f"conversations {config.seed}").random
    with _nothing_held_out():
        conversations = Grammar(config).conversations(config, held=True)
        draws = conversations.of(conversations.max_turns)
        return [draws.sample(source)[0] for _ in range(count)]


@contextmanager
def _nothing_held_out() -> Iterator[None]:
    try:
        yield
    except NothingToChoose:
        raise UserError(
            "no combination of words is held out with these settings; raise held_out, or take more words or templates"
        ) from None


def _held_out_draws(config: SyntheticConfig, source: Random) -> list[Callable[[], list[Prompt]]]:
    """A function for each kind of prompt that draws one or two."""
    grammar = Grammar(config)
    draws: list[Callable[[], list[Prompt]]] = []
    if config.translations or config.instruction_count("translate") or config.asks_in_conversations("translate"):
        translations = grammar.translations(held=True)
        draws.append(lambda: _translation_prompts(translations, source))
    if config.instruction_count("question") or config.asks_in_conversations("question"):
        questions = grammar.questions(held=True)
        draws.append(lambda: _question_prompts(questions, source))
    return draws


def _translation_prompts(translations: Distribution[Documents], source: Random) -> list[Prompt]:
    pair, _ = translations.sample(source)
    return [_prompt("translation", *named) for named in zip(("en-hu", "hu-en"), pair, strict=True)]


def _question_prompts(questions: Distribution[Question], source: Random) -> list[Prompt]:
    question, _ = questions.sample(source)
    return [
        _prompt("question", language, turns(question.prompt(language), question.answer(language)))
        for language in LANGUAGES
    ]


def _prompt(task: str, direction: str, document: Document) -> Prompt:
    user, assistant = document
    return Prompt(task, direction, user.content, assistant.content)
