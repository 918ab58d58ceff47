"""Which of two columns is English and which Hungarian, by their letters and commonest words."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_ACCENTED = frozenset("áéíóöőúüű")
_WORD = re.compile(r"[^\W\d_]+")
# Words that only one of the two languages has.
_ENGLISH = {
    *("the", "of", "and", "to", "in", "that", "you", "he", "she", "it", "was", "for", "with", "are", "this", "have"),
    *("i", "my", "not", "they", "we", "be", "do"),
}
_HUNGARIAN = {
    *("az", "egy", "nem", "hogy", "van", "volt", "ez", "azt", "ezt", "csak", "ki", "mit", "ne", "most", "itt", "ott"),
    *("lesz", "vagy", "meg", "mert", "ha"),
}
_MIN_EVIDENCE = 2
_MIN_RATIO = 4


@dataclass(frozen=True)
class Evidence:
    """How much of a text speaks for either language: common words, and letters with Hungarian accents."""

    english: int
    hungarian: int


def evidence(texts: Iterable[str]) -> Evidence:
    """Count what speaks for either language."""
    english = hungarian = 0
    for text in texts:
        lowered = text.lower()
        words = _WORD.findall(lowered)
        english += sum(word in _ENGLISH for word in words)
        hungarian += sum(word in _HUNGARIAN for word in words) + sum(letter in _ACCENTED for letter in lowered)
    return Evidence(english, hungarian)


def english_first(left: Iterable[str], right: Iterable[str]) -> bool | None:
    """Whether the left texts are English and the right ones Hungarian, or the other way round; None: not clear."""
    first, second = evidence(left), evidence(right)
    forward, backward = first.english + second.hungarian, first.hungarian + second.english
    if max(forward, backward) < _MIN_EVIDENCE or max(forward, backward) < _MIN_RATIO * min(forward, backward):
        return None
    return forward > backward


def choose_sides(columns: Sequence[Sequence[str]]) -> tuple[int, int] | None:
    """The indices of the English and the Hungarian column; None unless just one column is clearly of each language."""
    found = [evidence(column) for column in columns]
    english = [i for i, e in enumerate(found) if e.english >= _MIN_EVIDENCE and e.english > _MIN_RATIO * e.hungarian]
    hungarian = [
        i for i, e in enumerate(found) if e.hungarian >= _MIN_EVIDENCE and e.hungarian > _MIN_RATIO * e.english
    ]
    return (english[0], hungarian[0]) if len(english) == len(hungarian) == 1 else None
