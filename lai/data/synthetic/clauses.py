"""The meaning of a sentence, independent of language; `realize_en` and `realize_hu` put it into words.

Each clause has exactly one sentence in each language, and each sentence one clause. Nothing is said that only one of
the languages expresses (no he or she without a name, no continuous tenses).
"""

from dataclasses import dataclass
from typing import Literal

from lai.data.synthetic.inflect_hu import Person, Tense
from lai.data.synthetic.lexicon import Adjective, Frequency, Name, Noun, Number, Place, Time, Verb

Language = Literal["en", "hu"]
LANGUAGES: tuple[Language, ...] = ("en", "hu")


@dataclass(frozen=True, eq=False)
class Pronoun:
    """A pronoun as the subject; in Hungarian only the verb's ending expresses it."""

    english: str
    person: Person


PRONOUNS = (Pronoun("I", "1sg"), Pronoun("we", "1pl"), Pronoun("they", "3pl"))


@dataclass(frozen=True, slots=True)
class NounPhrase:
    """A name, or a noun with what belongs to it.

    An indefinite phrase without a number has `a` in the singular, and no article in the plural or for a mass noun.
    """

    head: Noun | Name
    definite: bool = True
    plural: bool = False
    adjective: Adjective | None = None
    number: Number | None = None
    owner: Name | None = None

    @property
    def bare(self) -> bool:
        """Whether the phrase has no determiner at all: books, water."""
        mass = isinstance(self.head, Noun) and not self.head.countable
        return not self.definite and not self.number and (self.plural or mass)


Subject = NounPhrase | Pronoun


Modal = Literal["can", "like", "want"]


@dataclass(frozen=True, slots=True)
class Action:
    """Somebody does something, with any of: object, recipient, companion, place or destination, time."""

    verb: Verb
    subject: Subject
    tense: Tense
    negated: bool = False
    object: NounPhrase | None = None
    recipient: Name | None = None
    companion: Name | None = None
    vehicle: Noun | None = None
    place: Place | None = None
    destination: Place | None = None
    time: Time | None = None
    frequency: Frequency | None = None
    modal: Modal | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """Somebody or something is … (an adjective, or a profession)."""

    subject: Subject
    what: Adjective | Noun
    tense: Tense
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Existence:
    """There is … somewhere."""

    what: NounPhrase
    place: Place
    tense: Tense


@dataclass(frozen=True, slots=True)
class Possession:
    """Somebody has …"""

    owner: NounPhrase
    what: NounPhrase
    tense: Tense


@dataclass(frozen=True, slots=True)
class Contrast:
    """Two actions of different subjects, side by side."""

    first: Action
    second: Action


@dataclass(frozen=True, slots=True)
class Reason:
    """An action of a named person, and the state that explains it."""

    action: Action
    why: Adjective


Clause = Action | Description | Existence | Possession | Contrast | Reason


def person_of(subject: Subject) -> Person:
    """The verb's person; Hungarian and English agree on it but for counted nouns, which are no subjects here."""
    if isinstance(subject, Pronoun):
        return subject.person
    return "3pl" if subject.plural else "3sg"
