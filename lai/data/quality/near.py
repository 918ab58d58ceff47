"""Texts that are nearly equal: they share about three of four words or more.

`rensa` makes the signatures, where it is installed.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_MIN_WORDS = 6  # shorter texts are alike by chance
_NUMBERS = 64  # of a signature
_ROWS = 4  # numbers that two texts must share to be compared
_SIMILAR = 0.7
_BATCH = 4096


def is_installed() -> bool:
    """Whether near-duplicates can be looked for."""
    try:
        import rensa  # noqa: F401
    except ImportError:
        return False
    return True


def signatures(texts: list[bytes]) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """The indices of the texts with enough words, and their signatures, (texts, numbers)."""
    from rensa import RMinHash

    indices: list[int] = []
    rows: list[Any] = []
    tokens: list[list[str]] = []
    for index, text in enumerate(texts):
        words = text.decode("utf-8", "replace").casefold().split()
        if len(words) >= _MIN_WORDS:
            indices.append(index)
            tokens.append(words)
        if len(tokens) == _BATCH:
            rows.append(np.array(RMinHash.digests_from_token_sets(tokens, _NUMBERS, 0), np.uint32))
            tokens = []
    if tokens:
        rows.append(np.array(RMinHash.digests_from_token_sets(tokens, _NUMBERS, 0), np.uint32))
    table = np.concatenate(rows) if rows else np.zeros((0, _NUMBERS), np.uint32)
    return np.array(indices, np.int64), table


def near_copies(table: NDArray[np.uint32], among: int | None = None) -> NDArray[np.bool_]:
    """Which texts are nearly equal to an earlier one; with `among`, to one of the first so many."""
    found = np.zeros(len(table), np.bool_)
    for start in range(0, _NUMBERS, _ROWS):
        keys = np.ascontiguousarray(table[:, start : start + _ROWS]).view(np.dtype((np.void, 4 * _ROWS))).ravel()
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        first = np.concatenate((np.ones(1, np.bool_), ordered[1:] != ordered[:-1]))[: len(order)]
        leader = order[np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))]
        pairs = np.flatnonzero(~first)
        if among is not None:
            pairs = pairs[(leader[pairs] < among) & (order[pairs] >= among)]
        pairs = pairs[~found[order[pairs]]]
        for part in np.array_split(pairs, max(1, len(pairs) // 10000)):
            alike = (table[order[part]] == table[leader[part]]).mean(1) >= _SIMILAR
            found[order[part][alike]] = True
    return found
