"""The constituents of clauses: subjects, objects, adjectives, places and times; and which combinations are held out.

Held-out combinations: an object of a verb, a place of a verb or noun, an adjective of a noun. Positions in the lexicon
alone decide which partners of a word are held out, so the probabilities of all others are known exactly.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeVar, cast

from lai.data.synthetic.clauses import PRONOUNS, NounPhrase, Pronoun, Subject
from lai.data.synthetic.grammar import Choice, Distribution, always, joint, maybe, mixture
from lai.data.synthetic.inflect_hu import Tense
from lai.data.synthetic.lexicon import MASS_KINDS, ON_LAND, Adjective, Frequency, Lexicon, Name, Noun, Place, Time, Verb

Head = Name | Noun | Pronoun
Determination = Literal["any", "articled", "definite", "single", "several"]
"""Which objects a verb takes unless it is negated: any, all but bare ones (vizet), definite ones, one or several."""
When = tuple[Tense, Time | None, Frequency | None]
T = TypeVar("T")


def split_combinations(row: int, options: Sequence[T], held_out: float, held: bool) -> tuple[T, ...]:
    """The partners of word number `row` that are held out (`held`), or all the others.

    One of every 1 / held_out partners is held out, at another position for every row; a single partner never is.
    """
    share = round(held_out * 1000)

    def is_held_out(column: int) -> bool:
        position = 7 * row + column
        return len(options) > 1 and (position + 1) * share // 1000 != position * share // 1000

    return tuple(option for column, option in enumerate(options) if is_held_out(column) == held)


class Constituents:
    """Distributions over the constituents of clauses, for a lexicon; each is built once.

    Args:
        held_out: the share of word combinations that are held out, at most a half.
        detail: scales how often there are optional parts (adjectives, times, places, negation): 0 never, 1 as usual.
    """

    def __init__(self, lexicon: Lexicon, held_out: float, detail: float) -> None:
        self.lexicon = lexicon
        self._held_out = held_out
        self._detail = detail
        entries = (*lexicon.nouns, *lexicon.names), (*lexicon.verbs, *lexicon.intransitive_verbs)
        self._rows: dict[Hashable, int] = {entry: row for group in entries for row, entry in enumerate(group)}
        self._cache: dict[Hashable, Any] = {}

    def cached(self, key: Hashable, make: Callable[[], Distribution[T]]) -> Distribution[T]:
        """The distribution under `key`, built at the first call."""
        if key not in self._cache:
            self._cache[key] = make()
        return cast(Distribution[T], self._cache[key])

    def percent(self, usual: int) -> int:
        """How often an optional part is there, in percent."""
        return round(usual * self._detail)

    def optional(self, part: Distribution[T], usual: int) -> Distribution[T | None]:
        """`part` in `usual` percent of the cases, scaled by the detail."""
        return maybe(part, self.percent(usual))

    def objects(self, verb: Verb, held: bool) -> tuple[Noun, ...]:
        """The nouns that are the verb's objects in training text, or those that are held out."""
        return self._partners(verb, verb.objects, held)

    def places(self, word: Verb | Noun, held: bool = False) -> tuple[Place, ...]:
        """The places of the verb or noun in training text, or those that are held out."""
        kinds = word.places if isinstance(word, Verb) else ON_LAND
        return self._partners(word, self._places_of(kinds), held)

    def adjectives(self, head: Noun | Name, held: bool = False) -> tuple[Adjective, ...]:
        """The adjectives that go with a noun or name in training text, or those that are held out."""
        fitting = tuple(adjective for adjective in self.lexicon.adjectives if head.kind in adjective.kinds)
        return self._partners(head, fitting, held)

    def _partners(self, word: Hashable, options: tuple[T, ...], held: bool) -> tuple[T, ...]:
        return split_combinations(self._rows[word], options, self._held_out, held)

    def _places_of(self, kinds: Sequence[str]) -> tuple[Place, ...]:
        return tuple(place for place in self.lexicon.places if place.kind in kinds)

    def optional_place(self, verb: Verb, percent: int) -> Distribution[Place | None]:
        """A place where the verb may happen, or none; no such combination is held out."""
        places = self._places_of(verb.places)
        return maybe(Choice(places), percent) if places else always(None)

    def is_held_out(self, partner: Noun | Place, verbs: Sequence[str]) -> bool:
        """Whether the noun or place is held out from any of the verbs, given by the first word of their base."""
        for verb in (*self.lexicon.verbs, *self.lexicon.intransitive_verbs):
            if verb.english.base.split()[0] in verbs and (
                partner in (self.objects(verb, held=True) if verb.objects else self.places(verb, held=True))
            ):
                return True
        return False

    def attribute(self, noun: Noun, usual: int) -> Distribution[Adjective | None]:
        """An optional adjective before the noun."""
        adjectives = self.adjectives(noun)
        return self.optional(Choice(adjectives), usual) if adjectives else always(None)

    def heads(self, kinds: Sequence[str], tells_tense: bool = True) -> Distribution[Head]:
        """Who may be a subject: names, nouns of the kinds, and pronouns where the verb's form tells the tense."""
        return self.cached(("heads", tuple(kinds), tells_tense), lambda: self._heads(kinds, tells_tense))

    def _heads(self, kinds: Sequence[str], tells_tense: bool) -> Distribution[Head]:
        parts: list[tuple[Distribution[Head], int]] = []
        if "person" in kinds:
            parts.append((Choice[Head](self.lexicon.names), 45))
            if tells_tense:
                parts.append((Choice[Head](PRONOUNS), self.percent(12)))
        weights = {"person": 30, "animal": 15}
        parts += [(Choice[Head](self.lexicon.by_kind[kind]), weights.get(kind, 30)) for kind in kinds]
        return mixture(parts)

    def other_names(self, head: Head | None) -> Distribution[Name]:
        """Any name other than `head`."""
        return self.cached(("names", head), lambda: Choice([name for name in self.lexicon.names if name is not head]))

    def subject(self, head: Head, singular: bool = False) -> Distribution[Subject]:
        """A subject phrase with this head."""
        return self.cached(("subject", head, singular), lambda: self._subject(head, singular))

    def _subject(self, head: Head, singular: bool) -> Distribution[Subject]:
        if isinstance(head, Pronoun):
            return always(head)
        if isinstance(head, Name):
            return always(NounPhrase(head))
        has_plural = head.countable and head.english_plural != head.english and not singular
        has_article = head.kind not in MASS_KINDS
        shape = Choice(
            [(True, False), (False, False), (True, True)],
            [100, self.percent(15) * has_article * head.countable, self.percent(25) * has_plural],
        )
        return joint(shape, self.attribute(head, 25)).map(
            lambda drawn: NounPhrase(head, definite=drawn[0][0], plural=drawn[0][1], adjective=drawn[1])
        )

    def determination(self, verb: Verb) -> Determination:
        """Which objects the verb takes; bare objects would displace a prefix that a verb always has."""
        if verb.object_form != "any":
            return verb.object_form
        return "articled" if verb.prefix_rule == "always" else "any"

    def object(self, noun: Noun, determination: Determination, evenly: bool = False) -> Distribution[NounPhrase]:
        """An object phrase with this noun; `evenly` makes plurals and numbers three times as frequent."""
        key = ("object", noun, determination, evenly)
        return self.cached(key, lambda: self._object(noun, determination, evenly))

    def _object(self, noun: Noun, determination: Determination, evenly: bool) -> Distribution[NounPhrase]:
        plain = NounPhrase(noun)
        mass = noun.kind in MASS_KINDS
        changes = noun.countable and noun.english_plural != noun.english
        least = 1 if determination == "several" else 0  # then there is nothing but these

        def several(usual: int) -> int:
            return max(least, self.percent(3 * usual if evenly else usual))

        shapes: list[tuple[Distribution[NounPhrase], int]] = [
            (always(plain), 40),
            (always(NounPhrase(noun, definite=False)), 35 * (noun.countable or mass)),
            (always(NounPhrase(noun, plural=True)), several(10) * changes),
            (always(NounPhrase(noun, definite=False, plural=True)), several(8) * changes),
            (
                Choice([NounPhrase(noun, definite=False, number=number) for number in self.lexicon.numbers]),
                several(10) * noun.countable,
            ),
        ]
        shapes = [(part, weight) for part, weight in shapes if _suits(next(part.outcomes())[0], determination)]
        return joint(mixture(shapes), self.attribute(noun, 25)).map(lambda drawn: _described(*drawn))

    def countable(self, noun: Noun) -> Distribution[NounPhrase]:
        """One or several of something, for `there is` and `has`."""
        one = NounPhrase(noun, definite=False)
        counted = Choice([NounPhrase(noun, definite=False, number=number) for number in self.lexicon.numbers])
        several = self.percent(25)
        shapes = mixture([(always(one), 100 - several), (counted, several)])
        return self.cached(
            ("countable", noun), lambda: joint(shapes, self.attribute(noun, 35)).map(lambda drawn: _described(*drawn))
        )

    def described(self, head: Noun | Name) -> Distribution[NounPhrase]:
        """The subject of a description: Anna, the dog, the dogs, Anna's dog."""
        if isinstance(head, Name):
            return always(NounPhrase(head))
        changes = head.countable and head.english_plural != head.english
        owned = Choice(self.lexicon.names).map(lambda name: NounPhrase(head, owner=name))
        return mixture(
            [
                (always(NounPhrase(head)), 60),
                (always(NounPhrase(head, plural=True)), self.percent(25) * changes),
                (owned, self.percent(30) * bool(head.hungarian.possessive)),
            ]
        )

    def when(self, often: bool = True) -> Distribution[When]:
        """A tense, and an optional time or (if `often`) frequency that agrees with it."""
        return self.cached(("when", often), lambda: self._when(self.percent(6) * often))

    def _when(self, often: int) -> Distribution[When]:
        present = [time for time in self.lexicon.times if not time.past_only]
        past: Distribution[When] = self.optional(Choice(self.lexicon.times), 45).map(lambda time: ("past", time, None))
        now: Distribution[When] = self.optional(Choice(present), 25).map(lambda time: ("present", time, None))
        frequent: Distribution[When] = Choice([("present", None, frequency) for frequency in self.lexicon.frequencies])
        return mixture([(past, 65), (now, 35 - often), (frequent, often)])

    def tense(self) -> Distribution[Tense]:
        """Past or present."""
        return self.cached("tense", lambda: Choice[Tense](["past", "present"]))


def _suits(what: NounPhrase, determination: Determination) -> bool:
    several = what.plural or what.number is not None
    match determination:
        case "articled":
            return not what.bare
        case "definite":
            return what.definite
        case "single":
            return not several
        case "several":
            return several
    return True


def _described(what: NounPhrase, adjective: Adjective | None) -> NounPhrase:
    return what if adjective is None else replace(what, adjective=adjective)
