"""What a person can choose about the generated text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lai.data.synthetic.sentences import TEMPLATES
from lai.host.errors import UserError

SMALL_LEXICON = 120
SMALL_TEMPLATES = ("transitive", "located", "motion", "description")

INSTRUCTION_MIX: dict[str, int] = {
    "translate": 34,
    "question": 20,
    "story_question": 10,
    "summary": 10,
    "continuation": 8,
    "small_talk": 18,
}
"""The kinds of instructions, with their weights."""

_ABOUT_STORIES = ("story_question", "summary", "continuation")


@dataclass(frozen=True)
class SyntheticConfig:
    """How much of what is generated, and from which words.

    `sentences` and `stories` are documents, half of them in each language. `translations` are pairs, each written in
    both directions. `instructions` are so many in each language. So 10000, 5000, 3000 and 2000 make 25,000 documents.

    Args:
        lexicon: "full", "small" (what a nano model learns in minutes), or a number of content words.
        templates: the kinds of sentences, of `TEMPLATES`; None takes all, or a few with the small lexicon.
        instruction_mix: weights of the kinds of instructions, of `INSTRUCTION_MIX`; a missing one is 0.
        detail: how often sentences have optional parts (adjectives, times, places, negation), from 0, never, to 1.
        phrases: the share of translations that are not a sentence but a part of one (lai.data.synthetic.parts).
        phrase_verbs: the share of these parts that are a verb with a pronoun, not a noun, place or time.
        repetitions: how many times each translation pair is written.
        held_out: the share of word combinations that are never generated, at most a half.

    Raises:
        UserError: a value is out of range; the message names the key.
    """

    sentences: int = 10000
    stories: int = 5000
    translations: int = 3000
    instructions: int = 2000
    seed: int = 0
    lexicon: Literal["full", "small"] | int = "full"
    templates: tuple[str, ...] | None = None
    instruction_mix: Mapping[str, int] = field(default_factory=lambda: dict(INSTRUCTION_MIX))
    detail: float = 1.0
    phrases: float = 0.2
    phrase_verbs: float = 0.2
    repetitions: int = 1
    held_out: float = 0.1

    def __post_init__(self) -> None:
        for key in ("sentences", "stories", "translations", "instructions", "seed"):
            self._check_whole(key, getattr(self, key), 0)
        self._check_whole("repetitions", self.repetitions, 1)
        for key in ("detail", "phrases", "phrase_verbs"):
            value = getattr(self, key)
            self._check(isinstance(value, float | int) and 0 <= value <= 1, key, "from 0 to 1")
        self._check(isinstance(self.held_out, float | int) and 0 <= self.held_out <= 0.5, "held_out", "from 0 to 0.5")
        if self.lexicon not in ("full", "small"):
            self._check(
                isinstance(self.lexicon, int) and self.lexicon >= 40, "lexicon", "'full', 'small' or a number from 40"
            )
        if self.templates is not None:
            object.__setattr__(self, "templates", tuple(self.templates))
            self._check_names("templates", self.templates, TEMPLATES)
        self._check_names("instruction_mix", self.instruction_mix, INSTRUCTION_MIX)
        for name, weight in self.instruction_mix.items():
            self._check_whole(f"instruction_mix.{name}", weight, 0)
        if not self.sentences + self.stories + self.translations + self.instructions:
            raise UserError("sentences, stories, translations and instructions are all 0; ask for some documents")
        if self.instructions and not sum(self.instruction_mix.values()):
            raise UserError(
                "instruction_mix gives every kind of instruction 0; give one a weight, or set instructions=0"
            )

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "SyntheticConfig":
        """From a mapping of these names; a value of None takes the default."""
        return cls(**{key: value for key, value in settings.items() if value is not None})

    def _check(self, right: bool, key: str, expected: str, value: Any = None) -> None:
        if not right:
            value = getattr(self, key) if value is None else value
            raise UserError(f"{key} is {value!r}; it must be {expected}")

    def _check_whole(self, key: str, value: Any, least: int) -> None:
        right = isinstance(value, int) and not isinstance(value, bool) and value >= least
        self._check(right, key, f"a whole number, at least {least}", value)

    def _check_names(self, key: str, given: Any, known: Mapping[str, int]) -> None:
        unknown = [name for name in given if name not in known]
        if unknown or (not given and key == "templates"):
            raise UserError(f"{key} has {unknown or 'nothing'}; it takes any of {', '.join(known)}")

    @property
    def documents(self) -> int:
        """How many documents there are in all."""
        pairs = self.translations * self.repetitions
        return self.sentences + self.stories + 2 * (pairs + self.instructions)

    @property
    def lexicon_size(self) -> int | None:
        """How many content words, None for all."""
        if self.lexicon == "full":
            return None
        return SMALL_LEXICON if self.lexicon == "small" else self.lexicon

    @property
    def chosen_templates(self) -> tuple[str, ...]:
        """The kinds of sentences."""
        if self.templates is not None:
            return self.templates
        return SMALL_TEMPLATES if self.lexicon == "small" else tuple(TEMPLATES)

    @property
    def needs_stories(self) -> bool:
        """Whether any document is made of a story."""
        return bool(self.stories) or any(self.instruction_count(name) for name in _ABOUT_STORIES)

    def instruction_count(self, name: str) -> int:
        """How many instructions of a kind there are in each language; all kinds together are exactly `instructions`."""
        total = sum(self.instruction_mix.values())
        seen = 0
        for kind, weight in self.instruction_mix.items():
            before, seen = seen, seen + weight
            if kind == name:
                return seen * self.instructions // total - before * self.instructions // total
        return 0
