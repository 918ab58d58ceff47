"""Configs of the generator, and the text of two of them."""

from functools import cache

import pytest

from lai.data.synthetic import Example, SyntheticConfig, generate
from lai.tokenizer.chat import render

GUIDE = SyntheticConfig()


SMALL = SyntheticConfig(lexicon="small")


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


BOTH = pytest.mark.parametrize("lexicon", ["full", "small"])


CONFIGS = {"full": GUIDE, "small": SMALL}


@cache
def generated(lexicon: str) -> list[Example]:
    return list(generate(CONFIGS[lexicon]))


@cache
def text_of(lexicon: str) -> bytes:
    return b"\n".join(render(example.document) for example in generated(lexicon))
