"""What is wrong with the sides of a translated pair, for many pairs at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lai.data.text.letters import hungarian_scores
from lai.tokenizer.chat import TO_ENGLISH, TO_HUNGARIAN, Document

# Scores of `hungarian_scores` and lengths, chosen on 200,000 real pairs: of those, 0.5 % have a fault by these.
_BOTH_HUNGARIAN = (4, 2)  # of the English side, of the Hungarian side
_BOTH_ENGLISH = (0, -7)
_MIN_TOLD = 12  # characters of both sides: of shorter ones nobody can tell that they are in one language
_NAME_START = 3  # letters that a name keeps in every case
_MIN_LONGER = 16  # characters of a longer side that is out of proportion
_SMOOTHING = 8
_MAX_RATIO = 1.9  # of the lengths, each with _SMOOTHING more
_MAX_MORE = 2  # characters around equal sides
_FIELD = '"'


@dataclass(frozen=True)
class PairFaults:
    """For each pair, whether it has the fault."""

    swapped: NDArray[np.bool_]
    one_language: NDArray[np.bool_]
    equal: NDArray[np.bool_]
    out_of_proportion: NDArray[np.bool_]
    quoted: NDArray[np.bool_]


def pair_faults(english: Sequence[str], hungarian: Sequence[str]) -> PairFaults:
    """Judge the sides of pairs that should be English and Hungarian."""
    left, right = hungarian_scores(english), hungarian_scores(hungarian)
    sizes = np.array([list(map(len, english)), list(map(len, hungarian))], np.int64).reshape(2, -1)
    shorter, longer = sizes.min(0), sizes.max(0)
    equal = np.zeros(len(english), np.bool_)
    for index in np.flatnonzero(longer - shorter <= _MAX_MORE).tolist():
        equal[index] = _are_equal(english[index], hungarian[index])
    quoted = np.zeros(len(english), np.bool_)
    quoted_first = (index for index, side in enumerate(english) if side[:1] == _FIELD or hungarian[index][:1] == _FIELD)
    for index in quoted_first:
        quoted[index] = _are_quoted(english[index], hungarian[index])
    both_hungarian = (left > _BOTH_HUNGARIAN[0]) & (right > _BOTH_HUNGARIAN[1])
    both_english = (left < _BOTH_ENGLISH[0]) & (right < _BOTH_ENGLISH[1])
    same = both_hungarian | both_english
    told = shorter >= _MIN_TOLD
    doubtful = np.flatnonzero(both_hungarian & told).tolist()
    rest = [_without_shared_names(english[index], hungarian[index]) for index in doubtful]
    told[doubtful] = hungarian_scores(rest) > _BOTH_HUNGARIAN[0]
    return PairFaults(
        swapped=(left > right + 1) & ((left > 0) | (right < 0)) & ~equal & ~same,
        one_language=same & told & ~equal,
        equal=equal,
        out_of_proportion=(longer >= _MIN_LONGER) & (longer + _SMOOTHING > _MAX_RATIO * (shorter + _SMOOTHING)),
        quoted=quoted,
    )


def _without_shared_names(side: str, other: str) -> str:
    """A side without the names that the other one has, too: they decide a short sentence (László sees Kati)."""
    starts = {word[:_NAME_START] for word in other.split() if word[0].isupper()}
    return " ".join(word for word in side.split() if not (word[0].isupper() and word[:_NAME_START] in starts))


def pair_of(document: Document) -> tuple[str, str] | None:
    """The English and the Hungarian side of a translation, as its request says; None for other documents."""
    if len(document) != 2 or document[0].role != "user":
        return None
    question, answer = document[0].content, document[1].content.decode("utf-8", "replace")
    for request, languages in ((TO_HUNGARIAN, 1), (TO_ENGLISH, -1)):
        if question.startswith(request):
            said = question.removeprefix(request).decode("utf-8", "replace")
            return (said, answer)[::languages]  # type: ignore[return-value]
    return None


def unquoted(field: str) -> str:
    """A field as a spreadsheet meant it: without the quotes around it, doubled ones inside as single ones."""
    return field[1:-1].replace('""', '"') if is_quoted(field) else field


def is_quoted(field: str) -> bool:
    """Whether a field has a spreadsheet's quotes: around it, and all inside doubled."""
    if len(field) < 2 or field[0] != _FIELD or field[-1] != _FIELD:
        return False
    inside = field[1:-1]
    return '"' not in inside.replace('""', "")


def _are_equal(english: str, hungarian: str) -> bool:
    return english.strip().casefold() == hungarian.strip().casefold() and any(map(str.isalpha, english))


def _are_quoted(english: str, hungarian: str) -> bool:
    """Whether a spreadsheet quoted both fields, or one that has quotes inside."""
    left, right = is_quoted(english), is_quoted(hungarian)
    return (left and right) or (left and '""' in english[1:-1]) or (right and '""' in hungarian[1:-1])
