"""The words: entries of `words/*.txt`, with all that the inflection of both languages needs.

A smaller lexicon keeps the first entries of every category, so the files list the most useful words first.
"""

import math
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

from lai.data.synthetic import inflect_en
from lai.data.synthetic.inflect_hu import Conjugation, Nominal

_WORDS = Path(__file__).parent / "words"

PlaceKind = Literal["home", "outside", "public", "city", "water"]
ON_LAND: tuple[PlaceKind, ...] = ("home", "outside", "public", "city")

MASS_KINDS = ("dish", "drink")
"""Nouns of these kinds stand without an article: Anna drinks water."""


@dataclass(frozen=True, eq=False)
class Noun:
    """A common noun; an empty plural means that it has none."""

    kind: str
    english: str
    english_plural: str
    hungarian: Nominal

    @property
    def countable(self) -> bool:
        return bool(self.english_plural)


@dataclass(frozen=True, eq=False)
class Name:
    """A person's name, written alike in both languages."""

    english: str
    hungarian: Nominal
    pronoun: Literal["she", "he"]

    kind = "person"


@dataclass(frozen=True, eq=False)
class Adjective:
    """An adjective, for nouns of some kinds."""

    english: str
    hungarian: str
    attributive: str
    plural: str
    kinds: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Place:
    """A place; `inside` selects the Hungarian -ban/-ba/-ból, otherwise -n/-ra/-ról."""

    kind: PlaceKind
    preposition: str
    english: str
    hungarian: Nominal
    inside: bool


@dataclass(frozen=True, eq=False)
class EnglishVerb:
    """The forms of an English verb: see, sees, saw."""

    base: str
    third: str
    past: str

    @classmethod
    def from_entry(cls, entry: str) -> "EnglishVerb":
        """Read `see saw`, `open` (regular) or `read =` (past as the base); `look for` is one verb."""
        words = entry.split()
        particle = f" {words.pop()}" if words[-1] == "for" else ""
        base = words[0]
        past = inflect_en.regular_past(base) if len(words) == 1 else base if words[1] == "=" else words[1]
        return cls(base + particle, inflect_en.third_person(base) + particle, past + particle)

    @property
    def tells_tense(self) -> bool:
        """Whether present and past differ where no -s is: `they read` may be either."""
        return self.base != self.past


PrefixRule = Literal["never", "always", "definite", "completed"]


@dataclass(frozen=True, eq=False)
class Verb:
    """A verb, with the nouns that may be its objects (none for an intransitive verb)."""

    english: EnglishVerb
    hungarian: Conjugation
    prefix: str
    prefix_rule: PrefixRule
    subjects: tuple[str, ...]
    kind: str = "object"
    objects: tuple[Noun, ...] = ()
    object_form: Literal["any", "definite", "single", "several"] = "any"
    recipient: str = ""
    needs_recipient: bool = False
    needs_companion: bool = False
    by_vehicle: bool = False
    places: tuple[str, ...] = ON_LAND
    reasons: tuple[str, ...] = ()

    def is_about(self, kind: str) -> bool:
        """Whether any object is of a kind."""
        return any(noun.kind == kind for noun in self.objects)


@dataclass(frozen=True, eq=False)
class Time:
    """When something happens; `past_only` times cannot go with the present tense."""

    english: str
    hungarian: str
    past_only: bool


@dataclass(frozen=True, eq=False)
class Number:
    """A number as it stands before a noun, which in Hungarian stays singular: két alma."""

    english: str
    hungarian: str


@dataclass(frozen=True, eq=False)
class Frequency:
    """How often something happens; in Hungarian the verb may have to follow at once (gyakran iszik vizet)."""

    english: str
    hungarian: str
    verb_follows: bool


@dataclass(frozen=True, eq=False)
class Lexicon:
    """Every entry by category, in the order of preference."""

    nouns: tuple[Noun, ...]
    names: tuple[Name, ...]
    adjectives: tuple[Adjective, ...]
    places: tuple[Place, ...]
    verbs: tuple[Verb, ...]
    intransitive_verbs: tuple[Verb, ...]
    times: tuple[Time, ...]
    numbers: tuple[Number, ...]
    frequencies: tuple[Frequency, ...]

    @property
    def size(self) -> int:
        """How many content words there are."""
        return sum(len(getattr(self, name)) for name in self.__dataclass_fields__)

    @cached_property
    def by_kind(self) -> dict[str, tuple[Noun, ...]]:
        """The nouns of each kind."""
        kinds: dict[str, list[Noun]] = defaultdict(list)
        for noun in self.nouns:
            kinds[noun.kind].append(noun)
        return {kind: tuple(nouns) for kind, nouns in kinds.items()}


def _rows(name: str) -> list[list[str]]:
    lines = (_WORDS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.split("|")] for line in lines if line and not line.startswith("#")]


def _options(words: list[str]) -> dict[str, str]:
    return dict(word.partition("=")[::2] for word in words)


def _nominal(entry: str, possessive: str = "") -> Nominal:
    lemma, *rest = entry.split()
    options = _options(rest)
    back = True if "back" in options else False if "front" in options else None
    return Nominal.from_lemma(lemma, options.get("acc", ""), options.get("pl", ""), possessive, back)


def _noun(kind: str, names: str, hungarian: str, possessive: str = "") -> Noun:
    words = names.split()
    if names.endswith("–"):
        singular, plural = names.removesuffix("–").strip(), ""
    else:
        singular, plural = words[0], words[1] if len(words) > 1 else inflect_en.plural(words[0])
    return Noun(kind, singular, plural, _nominal(hungarian, possessive))


def _place(kind: str, names: str, hungarian: str) -> Place:
    preposition, _, noun = names.partition(" ")
    case, _, lemma = hungarian.partition(" ")
    assert kind in (*ON_LAND, "water") and case in ("in", "on"), f"{names}: an unknown kind or case"
    return Place(kind, preposition, noun, _nominal(lemma), case == "in")


def _adjective(word: str, hungarian: str, plural: str, kinds: str) -> Adjective:
    lemma, *rest = hungarian.split()
    return Adjective(word, lemma, _options(rest).get("attributive", lemma), plural, tuple(kinds.split()))


def _place_kinds(options: dict[str, str]) -> tuple[str, ...]:
    if "at" not in options:
        return ON_LAND
    return tuple(kind for kind in options["at"].split(",") if kind != "-")


def _verb(
    nouns: tuple[Noun, ...], names: str, prefix: str, forms: str, objects: str, subjects: str, options: str = ""
) -> Verb:
    present, present_definite, past, past_definite = forms.split()
    chosen = _options(options.split())
    conjugation = Conjugation(present, present_definite, past, past_definite[:-1], chosen.get("inf", ""))
    wanted = objects.split()
    rule = prefix.partition(" ")[2] or "never"
    return Verb(
        EnglishVerb.from_entry(names),
        conjugation,
        prefix.partition(" ")[0].strip("-"),
        rule,  # type: ignore[arg-type]
        tuple(subjects.split()),
        objects=tuple(noun for noun in nouns if noun.kind in wanted or noun.english in wanted),
        object_form=next((form for form in ("definite", "single", "several") if form in chosen), "any"),
        recipient=chosen.get("giving", ""),
        needs_recipient="only" in chosen,
        places=_place_kinds(chosen),
        reasons=tuple(chosen.get("because", "").split(",")),
    )


def _intransitive_verb(kind: str, names: str, prefix: str, forms: str, subjects: str, options: str = "") -> Verb:
    present, past, past_stem = forms.split()
    chosen = _options(options.split())
    irregular = {person: chosen[person] for person in ("1sg", "1pl", "3pl") if person in chosen}
    conjugation = Conjugation(
        present,
        "a" if "back" in chosen else "",
        past,
        past_stem,
        chosen.get("inf", ""),
        irregular,  # type: ignore[arg-type]
    )
    prefix = prefix.strip("-")
    rule: PrefixRule = "always" if prefix else "never"
    return Verb(
        EnglishVerb.from_entry(names),
        conjugation,
        prefix,
        rule,
        tuple(subjects.split()),
        kind,
        needs_companion="together" in chosen,
        by_vehicle="vehicle" in chosen,
        places=_place_kinds(chosen),
        reasons=tuple(chosen.get("because", "").split(",")),
    )


def _first(rows: list[list[str]], share: float, grouped: bool = False) -> list[list[str]]:
    """The first `share` of the rows, rounded up; of each group, where the first column names one."""
    groups: dict[str, list[list[str]]] = defaultdict(list)
    for row in rows:
        groups[row[0] if grouped else ""].append(row)
    kept = {id(row) for group in groups.values() for row in group[: math.ceil(len(group) * share)]}
    return [row for row in rows if id(row) in kept]


@lru_cache(maxsize=8)
def load_lexicon(size: int | None = None) -> Lexicon:
    """The lexicon of about `size` content words, or all of them; a verb needs two objects to stay."""
    full = sum(len(_rows(path.stem)) for path in _WORDS.iterdir())
    share = 1.0 if size is None else min(1.0, size / full)
    nouns = tuple(_noun(*row) for row in _first(_rows("nouns"), share, grouped=True))
    verbs = (_verb(nouns, *row) for row in _first(_rows("verbs"), share))
    return Lexicon(
        nouns=nouns,
        names=tuple(Name(n.split()[0], _nominal(n), p) for n, p in _first(_rows("names"), share)),  # type: ignore[arg-type]
        adjectives=tuple(_adjective(*row) for row in _first(_rows("adjectives"), share)),
        places=tuple(_place(*row) for row in _first(_rows("places"), share, grouped=True)),
        verbs=tuple(verb for verb in verbs if len(verb.objects) > 1),
        intransitive_verbs=tuple(_intransitive_verb(*row) for row in _first(_rows("actions"), share, grouped=True)),
        times=tuple(Time(e, h, when == "past") for e, h, when in _first(_rows("times"), share)),
        numbers=tuple(Number(*row) for row in _first(_rows("numbers"), share)),
        frequencies=tuple(Frequency(e, h, next_ == "verb") for e, h, next_ in _first(_rows("frequencies"), share)),
    )
