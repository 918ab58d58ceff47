"""Odd texts of valid and invalid UTF-8, for both implementations of folding."""

import random
import unicodedata

from lai.tokenizer.folding import INVISIBLE, REPLACED

EVERY_CHARACTER = [chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
INVISIBLES = [chr(code) for first, last in INVISIBLE for code in range(first, last + 1)]


def odd_texts(count: int, seed: int = 0) -> list[bytes]:
    """Letters, marks in any order, blanks, line ends, invisible characters, quotes, dashes, and bytes of no UTF-8."""
    draw = random.Random(seed)
    letters = [*"aáeéiíoóöőuúüűAÁÖŐÜŰbcx<=>ḍṩñçÅ", "\u212b", "\u1e9b", "가", "각", "\u1100", "\u1161", "\u11a8", "Ж"]
    letters += [unicodedata.normalize("NFD", letter) for letter in letters]
    marks = ["\u0301", "\u030b", "\u0308", "\u0323", "\u0327", "\u0338", "\u0344", "\u0345", "\u05b0", "\u0f73"]
    kinds = [letters, letters, marks, [*"  \n"], [*REPLACED, "\r\n"], INVISIBLES[:40], ["\ufeff", "\u200b"]]
    pieces = [[piece.encode() for piece in kind] for kind in kinds]
    pieces.append([b"\xff", b"\xc3", b"\xa1", b"\xe2\x80", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\0"])
    pieces.append([draw.choice(EVERY_CHARACTER).encode() for _ in range(2000)])
    weights = [6, 6, 4, 3, 3, 2, 1, 1, 2]
    return [
        b"".join(draw.choice(kind) for kind in draw.choices(pieces, weights, k=draw.randrange(24)))
        for _ in range(count)
    ]
