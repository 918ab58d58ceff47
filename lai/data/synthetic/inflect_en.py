"""English inflection: a and an, plurals, and the forms of verbs, with the irregular ones stored in the lexicon."""

import re

_VOWELS = "aeiou"
# What is written with a vowel and spoken with a consonant, and the other way round.
_CONSONANT_SOUND = ("uni", "use", "usu", "eu", "one", "once")
_VOWEL_SOUND = ("hour", "honest", "heir", "honor")
_ARTICLE = re.compile(r"\b([aA])\(n\) (\w+)")


def indefinite_article(next_word: str) -> str:
    """`a` or `an` by the sound that follows: an hour, a university."""
    word = next_word.lower()
    if word.startswith(_VOWEL_SOUND):
        return "an"
    if word.startswith(_CONSONANT_SOUND):
        return "a"
    return "an" if word[0] in _VOWELS else "a"


def with_articles(text: str) -> str:
    """Put the right article for every `a(n)`."""
    return _ARTICLE.sub(lambda m: m[1] + indefinite_article(m[2])[1:] + " " + m[2], text)


def finish(text: str) -> str:
    """Put the right article for every `a(n)`, and a capital letter at the start."""
    text = with_articles(text)
    return text[0].upper() + text[1:]


def plural(noun: str) -> str:
    """The regular plural: keys, boxes, cherries."""
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in _VOWELS:
        return noun[:-1] + "ies"
    return noun + "s"


def third_person(verb: str) -> str:
    """The regular third person singular: looks, catches, carries."""
    if verb.endswith(("s", "x", "z", "ch", "sh", "o")):
        return verb + "es"
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        return verb[:-1] + "ies"
    return verb + "s"


def regular_past(verb: str) -> str:
    """The regular past: looked, liked, hurried (those that double a consonant are stored in the lexicon)."""
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        return verb[:-1] + "ied"
    return verb + "ed"


def possessive(name: str) -> str:
    """Whose: Anna's, János's."""
    return name + "'s"
