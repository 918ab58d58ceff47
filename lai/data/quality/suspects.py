"""Which texts of a batch hold a character that a fault may show in: one look-up a character, for all checks at once."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lai.data.text.characters import BLANKS, COMBINING, INVISIBLE
from lai.data.text.encoding import USUAL

# One bit a check.
FOREIGN, INVISIBLE_BIT, BLANK, PIECE, ENTITY, MARKUP, CARRIAGE_RETURN, LOST = (1 << bit for bit in range(8))
_TABLE = np.zeros(0x30000, np.uint8)  # beyond are no letters of any living language
_TABLE[0x80:] = FOREIGN
_TABLE[list(map(ord, USUAL))] = 0
_TABLE[list(map(ord, INVISIBLE))] = INVISIBLE_BIT
_TABLE[list(map(ord, BLANKS))] = BLANK
_TABLE[slice(*COMBINING)] = PIECE
_TABLE[ord("&")] = ENTITY
_TABLE[[*map(ord, "<[#\uff5c")]] |= MARKUP
_TABLE[ord("\r")] = CARRIAGE_RETURN
_TABLE[0xFFFD] = LOST
_BEGINS = tuple(map(ord, "<[#"))
# What follows the first character of other programs' markup.
_SECONDS = np.zeros(0x10000, np.bool_)
_SECONDS[[*map(ord, "|/<#\uff5csSebpucmEBPUCMtITA")]] = True
# The three characters after the < of <user>, </user> and so on.
_TAGS = [
    sum(ord(letter) << (21 * step) for step, letter in enumerate(name))
    for name in ("use", "ass", "sys", "/us", "/as", "/sy")
]


class Suspects:
    """The suspects among texts.

    Args:
        joined: the texts with one character after each.
        lengths: of each text in characters.
    """

    def __init__(self, joined: str, lengths: NDArray[np.int64]) -> None:
        if joined.isascii():
            codes: NDArray[Any] = np.frombuffer(joined.encode(), np.uint8)
        elif len(units := joined.encode("utf-16-le", "surrogatepass")) == 2 * len(joined):
            codes = np.frombuffer(units, np.uint16)
        else:  # characters beyond 16 bits
            codes = np.minimum(np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32), len(_TABLE) - 1)
        flags = _TABLE[codes]
        places = np.flatnonzero(flags != 0)
        places = places[~_no_markup(codes, places)]
        self._flags = flags[places]
        self._texts = np.searchsorted(np.cumsum(lengths + 1), places, side="right")

    def texts(self, bits: int) -> list[int]:
        """The indices of the texts that hold a character with one of these bits."""
        return np.unique(self._texts[(self._flags & bits) != 0]).tolist()  # type: ignore[no-any-return]


def _no_markup(codes: NDArray[Any], places: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the places begin LAi's own tags, or cannot begin markup by what follows."""
    found = np.isin(codes[places], _BEGINS)
    begins = places[found]
    last = len(codes) - 1
    following = [codes[np.minimum(begins + 1 + step, last)].astype(np.int64) for step in range(3)]
    own = np.isin(sum(code << (21 * step) for step, code in enumerate(following)), _TAGS)
    found[found] = own | ~_SECONDS[np.minimum(following[0], len(_SECONDS) - 1)]
    return found
