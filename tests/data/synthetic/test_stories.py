"""Stories: their slots and the time they take."""

import random
import re

import pytest

from lai.data.synthetic import SyntheticConfig
from lai.data.synthetic.stories import load_plots, stories
from lai.data.synthetic.tasks import Grammar


@pytest.fixture(scope="module")
def grammar() -> Grammar:
    return Grammar(SyntheticConfig())


def test_a_story_takes_no_longer_than_the_time_since_it_began(grammar: Grammar) -> None:
    """Two days later is not yet where something began yesterday, nor is there an evening after the evening."""
    told = stories(grammar.constituents)
    assert told is not None
    source = random.Random(5).random
    for _ in range(20000):
        story, _ = told.sample(source)
        when = story.slots["when"].english
        text = " ".join(story.sentences("en"))
        if when.startswith(("yesterday", "two days")):
            assert not re.search(r"days later|The next day|every day", text), text
        if when == "yesterday evening":
            assert not re.search(r"[Ii]n the evening|until the evening|all day", text), text
        if story.plot.name == "thief":
            assert story.slots["owner"].english != "thief"


def test_every_slot_of_a_story_shows_in_its_text_in_all_wordings() -> None:
    """Otherwise different choices would give the same text, and its probability would be wrong."""
    for plot in load_plots():
        for language in (0, 1):
            for slot in plot.slots:
                assert any(
                    all(re.search(rf"{{{slot}(\.(?!he|him|his)\w+)?}}", wording[language]) for wording in alternatives)
                    for alternatives in plot.sentences
                ), (plot.name, slot)
            for alternatives in plot.sentences:
                assert len({wording[language] for wording in alternatives}) == len(alternatives)
