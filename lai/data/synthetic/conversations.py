"""Conversations: several questions in one document, each with its one right answer.

A conversation is a row of topics. A topic is one question, or a text with several questions about it: a story, or two
facts. Each topic has a language and a task of its own, so both change within a conversation. What is asked in a topic
depends on nothing outside of it.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import permutations
from math import lcm
from pathlib import Path
from typing import Any

from lai.data.synthetic.clauses import LANGUAGES, Language
from lai.data.synthetic.grammar import Choice, Distribution, always, joint, mixture
from lai.data.synthetic.questions import Interview
from lai.data.synthetic.stories import Plot, Story
from lai.tokenizer.chat import Document, Turn

TURNS = {1: 1, 2: 4, 3: 3, 4: 3, 5: 2, 6: 2, 7: 2, 8: 2}
"""The numbers of questions of a conversation, with their weights. A single question has a system prompt."""

MAX_TURNS = max(TURNS)

_MAX_QUESTIONS = 3  # of a topic
_WEIGHT_UNIT = lcm(*range(1, _MAX_QUESTIONS + 1))  # a topic's weight is divided among its numbers of questions
_PERCENT_WITH_SYSTEM = 20
_SYSTEM_PROMPTS = Path(__file__).parent / "texts" / "system_prompts.txt"

Topic = Sequence[Distribution[Document]]
"""A topic's documents with one question, with two questions and so on."""


class Conversations:
    """The distribution over conversations.

    Args:
        topics: the topics with their weights; no document may come from two of them.
        max_turns: the maximum number of questions, 1 to `MAX_TURNS`.
    """

    def __init__(self, topics: Sequence[tuple[Topic, int]], max_turns: int = MAX_TURNS) -> None:
        self._topics = topics
        self.max_turns = max_turns
        self._without_system: dict[int, Distribution[Document]] = {0: always(())}

    def all(self) -> Distribution[Document]:
        """Conversations of every number of questions."""
        return mixture([(self.of(turns), TURNS[turns]) for turns in range(1, self.max_turns + 1)])

    def of(self, turns: int) -> Distribution[Document]:
        """Conversations of so many questions."""
        with_system = joint(system_turns(), self._row(turns)).map(lambda drawn: (drawn[0], *drawn[1]))
        percent = 100 if turns == 1 else _PERCENT_WITH_SYSTEM
        return mixture([(self._row(turns), 100 - percent), (with_system, percent)])

    def _row(self, turns: int) -> Distribution[Document]:
        """So many questions without a system prompt."""
        if turns not in self._without_system:
            parts = []
            for topic, weight in self._topics:
                lengths = range(1, min(len(topic), turns) + 1)
                for length in lengths:
                    both = joint(topic[length - 1], self._row(turns - length)).map(lambda drawn: drawn[0] + drawn[1])
                    parts.append((both, weight * _WEIGHT_UNIT // len(lengths)))
            self._without_system[turns] = mixture(parts)
        return self._without_system[turns]


def system_turns() -> Distribution[Turn]:
    """The system prompts, in both languages."""
    lines = _SYSTEM_PROMPTS.read_text(encoding="utf-8").splitlines()
    return Choice([Turn("system", line.encode()) for line in lines if line[0] != "#"])


def turns(*questions_and_answers: tuple[str, str]) -> Document:
    """A conversation of these questions and answers."""
    return tuple(
        turn
        for question, answer in questions_and_answers
        for turn in (Turn("user", question.encode()), Turn("assistant", answer.encode()))
    )


def in_both_languages(values: Distribution[Any], speak: Callable[[Any, Language], Document]) -> Distribution[Document]:
    """The documents of values, in each language with the same probability."""
    return joint(Choice(LANGUAGES), values).map(lambda drawn: speak(drawn[1], drawn[0]))


def about_facts(interviews: Callable[[int], Distribution[Interview]]) -> Topic:
    """Two facts and one to three questions about them; `interviews` gives those of so many questions."""

    def speak(interview: Interview, language: Language) -> Document:
        return turns(*interview.exchanges(language))

    return [in_both_languages(interviews(count), speak) for count in range(1, _MAX_QUESTIONS + 1)]


def about_stories(plots: Sequence[tuple[Plot, Distribution[Story]]]) -> Topic:
    """A story and one to three different questions about it."""

    def speak(drawn: tuple[Story, Sequence[int]], language: Language) -> Document:
        story, numbers = drawn
        exchanges = [
            (story.realize(question, language), story.realize(answer, language))
            for question, answer in (story.plot.questions[number] for number in numbers)
        ]
        (first, answer), *others = exchanges
        return turns((f"{' '.join(story.sentences(language))} {first}", answer), *others)

    return [
        in_both_languages(asked, speak) for count in range(1, _MAX_QUESTIONS + 1) if (asked := _asked(plots, count))
    ]


def about_summaries(
    plots: Sequence[tuple[Plot, Distribution[Story]]], requests: Mapping[Language, Sequence[str]]
) -> Topic:
    """A story, its summary, and up to two questions about the story; a summary is asked for in one of `requests`."""
    number_of_requests = {len(wordings) for wordings in requests.values()}
    assert len(number_of_requests) == 1, "each language has as many wordings"
    wordings = Choice(range(number_of_requests.pop()))

    def speak(drawn: tuple[int, tuple[Story, Sequence[int]]], language: Language) -> Document:
        wording, (story, numbers) = drawn
        summary = story.realize(story.plot.summary, language)
        questions = [story.plot.questions[number] for number in numbers]
        return turns(
            (requests[language][wording].format(" ".join(story.sentences(language))), summary),
            *((story.realize(question, language), story.realize(answer, language)) for question, answer in questions),
        )

    return [
        in_both_languages(joint(wordings, asked), speak)
        for count in range(_MAX_QUESTIONS)
        if (asked := _asked(plots, count))
    ]


def _asked(
    plots: Sequence[tuple[Plot, Distribution[Story]]], count: int
) -> Distribution[tuple[Story, Sequence[int]]] | None:
    """Stories with so many different numbers of questions; None where no plot has as many."""
    parts = []
    for plot, story in plots:
        orders = list(permutations(range(len(plot.questions)), count))
        if orders:
            parts.append((joint(story, Choice(orders)).map(lambda drawn: (drawn[0], drawn[1])), 1))
    return mixture(parts) if parts else None
