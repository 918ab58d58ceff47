"""What a person can choose about the generated text."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lai.config.schema import SyntheticSettings
from lai.config.setting import SettingError
from lai.data.synthetic.sentences import TEMPLATES

MIN_LEXICON = 40
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


@dataclass
class SyntheticConfig(SyntheticSettings):
    """The settings `data.synthetic`, and what follows from them.

    `sentences` and `stories` are documents, half of them in each language. `translations` are pairs, each written in
    both directions. `instructions` are so many in each language. So 10000, 5000, 3000 and 2000 make 25,000 documents.
    `conversations` are documents of several questions, of the kinds of instructions.

    Raises:
        SettingError: a value is out of its range; the message begins with the setting's name.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lexicon not in ("full", "small"):
            is_number = isinstance(self.lexicon, int) and not isinstance(self.lexicon, bool)
            self._check(is_number and self.lexicon >= MIN_LEXICON, "lexicon", "'full', 'small' or a number from 40")
        if self.templates is not None:
            self._check_names("templates", self.templates, TEMPLATES)
        self._check_names("instruction_mix", self.mix, INSTRUCTION_MIX)
        for name, weight in self.mix.items():
            right = isinstance(weight, int) and not isinstance(weight, bool) and weight >= 0
            self._check(right, f"instruction_mix.{name}", "a whole number, at least 0", weight)
        if not self.documents:
            raise SettingError(
                "sentences, stories, translations, instructions and conversations are all 0; ask for some documents"
            )
        if (self.instructions or self.conversations) and not sum(self.mix.values()):
            raise SettingError(
                "instruction_mix gives every kind of instruction 0; give one a weight, or set instructions=0 and "
                "conversations=0"
            )

    def _check(self, right: bool, key: str, expected: str, value: Any = None) -> None:
        if not right:
            value = getattr(self, key) if value is None else value
            raise SettingError(f"{key} is {value!r}; it must be {expected}")

    def _check_names(self, key: str, given: Iterable[str], known: Mapping[str, Any]) -> None:
        unknown = [name for name in given if name not in known]
        if unknown or (not given and key == "templates"):
            raise SettingError(f"{key} has {unknown or 'nothing'}; it takes any of {', '.join(known)}")

    @property
    def mix(self) -> Mapping[str, int]:
        """The kinds of instructions with their weights."""
        return INSTRUCTION_MIX if self.instruction_mix is None else self.instruction_mix

    @property
    def documents(self) -> int:
        """How many documents there are in all."""
        pairs = self.translations * self.repetitions
        return self.sentences + self.stories + 2 * (pairs + self.instructions) + self.conversations

    @property
    def lexicon_size(self) -> int | None:
        """How many content words, None for all."""
        if self.lexicon == "full":
            return None
        return SMALL_LEXICON if self.lexicon == "small" else int(self.lexicon)

    @property
    def chosen_templates(self) -> tuple[str, ...]:
        """The kinds of sentences."""
        if self.templates is not None:
            return tuple(self.templates)
        return SMALL_TEMPLATES if self.lexicon == "small" else tuple(TEMPLATES)

    @property
    def needs_stories(self) -> bool:
        """Whether any document is made of a story."""
        asked = any(self.instruction_count(name) for name in _ABOUT_STORIES)
        return bool(self.stories) or asked or any(map(self.asks_in_conversations, _ABOUT_STORIES))

    def asks_in_conversations(self, name: str) -> bool:
        """Whether conversations have questions of a kind of instruction."""
        return self.conversations > 0 and self.mix.get(name, 0) > 0

    def instruction_count(self, name: str) -> int:
        """How many instructions of a kind there are in each language; all kinds together are exactly `instructions`."""
        total = sum(self.mix.values())
        seen = 0
        for kind, weight in self.mix.items():
            before, seen = seen, seen + weight
            if kind == name:
                return seen * self.instructions // total - before * self.instructions // total
        return 0
