"""Hungarian inflection: vowel harmony, cases, possession, and the two conjugations.

Forms follow from a lemma by rule; a lexicon entry stores the stems that do not (ló: lovat, lovak). Case names are
those of Kenesei, Vago & Fenyvesi, Hungarian (1998), chapter 2.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

Tense = Literal["present", "past"]
Person = Literal["1sg", "3sg", "1pl", "3pl"]

_VOWELS = "aáeéiíoóöőuúüű"
_BACK = "aáoóuú"
_FRONT = "eöőüű"
_ROUNDED = "öőüű"
_LONG = {"a": "á", "e": "é"}
_DIGRAPHS = ("cs", "dz", "gy", "ly", "ny", "sz", "ty", "zs")
# After a vowel and one of these the accusative needs no linking vowel: tanárt, lakást, but kalapot.
_BARE_ACCUSATIVE = ("n", "ny", "l", "ly", "r", "s", "sz", "z", "zs", "j")
# The definite article is `az` before a vowel's sound, which in Hungarian is a vowel's letter.
_ARTICLE = re.compile(r"\b([aA])\(z\) (\w)")


def is_back(word: str) -> bool:
    """Whether suffixes take back vowels: the last vowel decides, i, í and é being transparent (szomszéd is back)."""
    for letter in reversed(word.lower()):
        if letter in _BACK:
            return True
        if letter in _FRONT:
            return False
    return False


def is_rounded(word: str) -> bool:
    """Whether a front word takes ö rather than e: its very last vowel is rounded (sofőrök, but repülőgépek)."""
    last = next(letter for letter in reversed(word.lower()) if letter in _VOWELS)
    return last in _ROUNDED


def with_articles(text: str) -> str:
    """Put the right article for every `a(z)`."""
    return _ARTICLE.sub(lambda match: match[1] + ("z " if match[2].lower() in _VOWELS else " ") + match[2], text)


def finish(text: str) -> str:
    """Put the right article for every `a(z)`, and a capital letter at the start."""
    text = with_articles(text)
    return text[0].upper() + text[1:]


def final_consonant(word: str) -> str:
    """The letters of the last consonant, digraphs whole; empty where the word ends in a vowel."""
    if word[-1].lower() in _VOWELS:
        return ""
    return word[-2:] if word[-2:].lower() in _DIGRAPHS else word[-1]


def double_final(word: str) -> str:
    """The word with its last consonant long, as -val/-vel makes it (kés-s, Balázz-s, toll)."""
    last = final_consonant(word)
    before = word[: -len(last)]
    if len(last) == 2:
        return word if before.endswith(last[0]) else before + last[0] + last
    return word if before.endswith(last) else word + last


@dataclass(frozen=True, eq=False)
class Nominal:
    """A Hungarian noun or name: its lemma, its harmony where the vowels mislead, and its irregular forms."""

    lemma: str
    back: bool
    accusative: str
    plural: str
    possessive: str = ""

    def __str__(self) -> str:
        return self.lemma

    @classmethod
    def from_lemma(
        cls, lemma: str, accusative: str = "", plural: str = "", possessive: str = "", back: bool | None = None
    ) -> "Nominal":
        """Fill in by rule whatever is not given."""
        back = is_back(lemma) if back is None else back
        link = "o" if back else "ö" if is_rounded(lemma) else "e"
        stem = lengthened(lemma)
        last = final_consonant(lemma)
        needs_link = bool(last) and not (last in _BARE_ACCUSATIVE and lemma[: -len(last)][-1].lower() in _VOWELS)
        return cls(
            lemma,
            back,
            accusative or stem + (link if needs_link else "") + "t",
            plural or stem + (link if last else "") + "k",
            possessive,
        )

    def _with(self, back: str, front: str) -> str:
        return lengthened(self.lemma) + (back if self.back else front)

    @cached_property
    def inessive(self) -> str:
        return self._with("ban", "ben")

    @cached_property
    def illative(self) -> str:
        return self._with("ba", "be")

    @cached_property
    def superessive(self) -> str:
        if not final_consonant(self.lemma):
            return lengthened(self.lemma) + "n"
        return self._with("on", "ön" if is_rounded(self.lemma) else "en")

    @cached_property
    def sublative(self) -> str:
        return self._with("ra", "re")

    @cached_property
    def delative(self) -> str:
        return self._with("ról", "ről")

    @cached_property
    def ablative(self) -> str:
        return self._with("tól", "től")

    @cached_property
    def dative(self) -> str:
        return self._with("nak", "nek")

    @cached_property
    def instrumental(self) -> str:
        if not final_consonant(self.lemma):
            return self._with("val", "vel")
        return double_final(self.lemma) + ("al" if self.back else "el")

    @cached_property
    def possessed(self) -> str:
        """The accusative of the possessive: (valaki) könyvét."""
        return lengthened(self.possessive) + "t"

    @cached_property
    def plural_accusative(self) -> str:
        return self.plural + ("at" if self.back else "et")


def lengthened(word: str) -> str:
    """A final a or e becomes long before a suffix: alma, almá-t."""
    return word[:-1] + _LONG[word[-1]] if word[-1] in _LONG else word


@dataclass(frozen=True, eq=False)
class Conjugation:
    """A Hungarian verb by its principal parts, all third person singular: olvas, olvassa, olvasott, olvasta.

    The definite parts may be empty in a verb without objects; then `past_stem` (alud-t: aludt) is stored instead.
    `irregular` holds single forms that the parts do not give, by person: present indefinite only.
    """

    present: str
    present_definite: str
    past: str
    past_stem: str
    infinitive: str = ""
    irregular: Mapping[Person, str] = field(default_factory=dict)

    @cached_property
    def _ik(self) -> bool:
        return self.present.endswith("ik")

    @cached_property
    def _stem(self) -> str:
        return self.present[:-2] if self._ik else self.present

    @cached_property
    def _back(self) -> bool:
        # The definite form's ending decides where there is one: ír has only a neutral vowel, but írja is back.
        return self.present_definite.endswith("a") if self.present_definite else is_back(self._stem)

    def form(self, tense: Tense, person: Person, definite: bool) -> str:
        """One finite form; `definite` says that the object is a definite one."""
        if tense == "past":
            return self._past(person, definite)
        return self._present_definite(person) if definite else self._present(person)

    def _vowel(self, back: str, front: str, rounded: str = "") -> str:
        if self._back:
            return back
        return rounded if rounded and is_rounded(self._stem) else front

    def _present(self, person: Person) -> str:
        if person in self.irregular:
            return self.irregular[person]
        if person == "3sg":
            return self.present
        if person == "1sg":
            return self._stem + self._vowel("o", "e", "ö") + ("m" if self._ik else "k")
        if person == "1pl":
            return self._stem + self._vowel("unk", "ünk")
        return self._stem + (self._vowel("a", "e") if self._needs_link else "") + self._vowel("nak", "nek")

    @property
    def _needs_link(self) -> bool:
        last = final_consonant(self._stem)
        before = self._stem[: -len(last)] if last else self._stem
        return self._stem.endswith("ít") or (bool(last) and before[-1] not in _VOWELS)

    def _present_definite(self, person: Person) -> str:
        third = self.present_definite
        if person == "3sg":
            return third
        if person == "1sg":
            return self._stem + self._vowel("o", "e", "ö") + "m"
        if person == "3pl":
            return lengthened(third) + "k" if self._back else third + "k"
        if self._back:
            return third[:-1] + "uk"
        last = final_consonant(self._stem)
        return double_final(self._stem) + "ük" if last in ("s", "sz", "z", "dz") else self._stem + "jük"

    def _past(self, person: Person, definite: bool) -> str:
        stem = self.past_stem
        if person == "1sg":
            return stem + self._vowel("am", "em")
        if person == "3sg":
            return stem + self._vowel("a", "e") if definite else self.past
        if person == "1pl":
            return stem + (self._vowel("uk", "ük") if definite else self._vowel("unk", "ünk"))
        return stem + (self._vowel("ák", "ék") if definite else self._vowel("ak", "ek"))

    @cached_property
    def infinitive_form(self) -> str:
        """-ni, with a linking vowel where two consonants or -ít would meet it (takarítani); else as stored."""
        link = self._vowel("a", "e") if self._needs_link else ""
        return self.infinitive or self._stem + link + "ni"
