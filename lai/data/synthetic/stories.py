"""Stories: plots of several sentences about the same characters, read from `texts/stories.txt`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from lai.data.synthetic import inflect_en, inflect_hu, realize_en, realize_hu
from lai.data.synthetic.clauses import Language
from lai.data.synthetic.constituents import Constituents
from lai.data.synthetic.grammar import Choice, Distribution, always, joint, mixture
from lai.data.synthetic.lexicon import Adjective, Name, Noun, Number, Place, Time

_STORIES = Path(__file__).parent / "texts" / "stories.txt"

Wording = tuple[str, str]
"""The same sentence in English and in Hungarian, with slots."""


@dataclass
class Plot:
    """A plot as it is written in the file."""

    name: str
    slots: dict[str, str] = field(default_factory=dict)
    sentences: list[list[Wording]] = field(default_factory=list)
    summary: Wording = ("", "")
    questions: list[tuple[Wording, Wording]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Story:
    """A plot with its slots filled and its wordings chosen."""

    plot: Plot
    slots: dict[str, Any]
    wordings: tuple[int, ...]

    def sentences(self, language: Language) -> list[str]:
        """The text, sentence by sentence."""
        return [
            self.realize(alternatives[chosen], language)
            for alternatives, chosen in zip(self.plot.sentences, self.wordings, strict=True)
        ]

    def realize(self, wording: Wording, language: Language) -> str:
        """One sentence with the slots filled."""
        if language == "en":
            return inflect_en.finish(wording[0].format_map(self._english))
        return inflect_hu.finish(wording[1].format_map(self._hungarian))

    @cached_property
    def _english(self) -> dict[str, Any]:
        return {slot: _in_english(value) for slot, value in self.slots.items()}

    @cached_property
    def _hungarian(self) -> dict[str, Any]:
        return {slot: _in_hungarian(value) for slot, value in self.slots.items()}


class _Word(str):
    """A word that carries other forms of itself, as templates ask for them: {hero.him}."""

    def __new__(cls, word: str, **forms: str) -> "_Word":
        instance = super().__new__(cls, word)
        instance.__dict__.update(forms)
        return instance


@cache
def _in_english(value: Any) -> _Word:
    match value:
        case Name():
            him, his = ("her", "her") if value.pronoun == "she" else ("him", "his")
            return _Word(value.english, he=value.pronoun, him=him, his=his)
        case Noun():
            return _Word(value.english, plural=value.english_plural)
        case Place():
            at, to = realize_en.place_phrase(value), realize_en.place_phrase(value, motion=True)
            return _Word(value.english, name=value.english, at=at, to=to)
    return _Word(value.english)


@cache
def _in_hungarian(value: Any) -> Any:
    match value:
        case Name() | Noun():
            return value.hungarian
        case Place():
            at, to = realize_hu.place_phrase(value), realize_hu.place_phrase(value, motion=True)
            return _Word(value.hungarian.lemma, at=at, to=to)
        case Adjective():
            return value.attributive
        case Number():
            return _Word(value.hungarian, alone=value.hungarian.replace("két", "kettő"))
    assert isinstance(value, Time)
    return value.hungarian


@cache
def load_plots() -> tuple[Plot, ...]:
    """The plots of `texts/stories.txt`, in order."""
    plots: list[Plot] = []
    for line in _STORIES.read_text(encoding="utf-8").splitlines():
        if line.startswith("plot "):
            plots.append(Plot(line.removeprefix("plot ")))
        elif line and not line.startswith("#"):
            _read_line(plots[-1], line)
    return tuple(plots)


def _read_line(plot: Plot, line: str) -> None:
    cells = [cell.strip() for cell in line[2:].split("|")]
    match line[:2]:
        case "- ":
            plot.sentences.append([(cells[0], cells[1])])
        case "/ ":
            plot.sentences[-1].append((cells[0], cells[1]))
        case "= ":
            plot.summary = (cells[0], cells[1])
        case "? ":
            plot.questions.append(((cells[0], cells[1]), (cells[2], cells[3])))
        case _:
            slot, _, kind = line.partition(": ")
            plot.slots[slot] = kind


def stories(constituents: Constituents) -> Distribution[Story] | None:
    """All plots that the lexicon can fill, with equal probability; None if there is none."""
    plots = plots_with_stories(constituents)
    return mixture([(story, 1) for _, story in plots]) if plots else None


def asked_stories(constituents: Constituents) -> Distribution[tuple[Story, int]]:
    """Stories, each with the number of one of its plot's questions."""
    pairs = ((joint(story, Choice(range(len(plot.questions)))), 1) for plot, story in plots_with_stories(constituents))
    return mixture([(pair.map(lambda drawn: (drawn[0], drawn[1])), weight) for pair, weight in pairs])


def plots_with_stories(constituents: Constituents) -> list[tuple[Plot, Distribution[Story]]]:
    """The plots that the lexicon can fill, each with its stories."""
    return [(plot, story) for plot in load_plots() if (story := _story(plot, constituents))]


def _story(plot: Plot, constituents: Constituents) -> Distribution[Story] | None:
    groups: list[Distribution[dict[str, Any]]] = []
    followers = {slot: kind.split() for slot, kind in plot.slots.items() if kind.startswith(("name but", "adjective"))}
    for slot, kind in plot.slots.items():
        if slot in followers:
            continue
        values = _values(kind, constituents)
        dependent = [(name, words[0]) for name, words in followers.items() if words[-1] == slot]
        values = [value for value in values if all(_followers(how, value, constituents) for _, how in dependent)]
        if not values:
            return None
        groups.append(Choice(values).then(lambda v, slot=slot, d=dependent: _group(slot, v, d, constituents)))  # type: ignore[misc]
    wordings = joint(*(Choice(range(len(alternatives))) for alternatives in plot.sentences))

    def build(drawn: tuple[Any, ...]) -> Story:
        *filled, chosen = drawn
        return Story(plot, {name: value for group in filled for name, value in group.items()}, chosen)

    return joint(*groups, wordings).map(build)


def _group(
    slot: str, value: Any, dependent: Sequence[tuple[str, str]], constituents: Constituents
) -> Distribution[dict[str, Any]]:
    """A slot's value with those of the slots that depend on it."""
    names = [slot, *(name for name, _ in dependent)]
    others = (Choice(_followers(how, value, constituents)) for _, how in dependent)
    return joint(always(value), *others).map(lambda drawn: dict(zip(names, drawn, strict=True)))


def _followers(how: str, value: Any, constituents: Constituents) -> Sequence[Any]:
    """The values of a slot that depends on another slot's: another name, or an adjective that goes with the noun."""
    if how == "name":
        return [name for name in constituents.lexicon.names if name is not value]
    return constituents.adjectives(value)


def _values(kind: str, constituents: Constituents) -> Sequence[Any]:
    """The values of a slot that depends on no other."""
    lexicon = constituents.lexicon
    what, _, with_verbs = kind.partition(" ; ")
    what, _, without = what.partition(" but ")
    excluded = without.split(", ")
    what, *wanted = what.split()
    match what:
        case "name":
            return lexicon.names
        case "time":
            return [time for time in lexicon.times if time.past_only and time.english not in excluded]
        case "number":
            return lexicon.numbers
        case "noun":
            pool: list[Any] = [noun for noun in lexicon.nouns if noun.kind in wanted or noun.english in wanted]
        case _:
            kinds = ("city",) if what == "city" else wanted or ("home", "outside", "public")
            pool = [place for place in lexicon.places if place.kind in kinds]
    pool = [value for value in pool if value.english not in excluded]
    return [value for value in pool if not constituents.is_held_out(value, with_verbs.split())]
