"""The vocabulary as llama.cpp's SentencePiece tokenizer reads it from a GGUF file, and back.

llama.cpp (b11549) merges whatever two pieces join to the text of a token, of whatever type, the highest score first. So
tokens that text never becomes, such as the steps of chat tags, get texts that never occur. It writes each space as
U+2581 first, so a byte token of ASCII is given as its character: as `<0x20>` a single space would become the three
bytes of U+2581.
"""

from typing import NamedTuple

from lai.export.text_tokens import special_ids, text_ids
from lai.tokenizer.bpe import FIRST_BYTE, NEVER, WORD_MARK
from lai.tokenizer.vocab import N_BASE, Vocab

NORMAL, UNKNOWN, CONTROL, UNUSED, BYTE = 1, 2, 3, 5, 6
"""Types of tokens in GGUF (`gguf.TokenType`)."""


class GgufToken(NamedTuple):
    """A token's text, score and type."""

    text: str
    score: float
    kind: int


def gguf_tokens(vocab: Vocab) -> list[GgufToken]:
    """All tokens in the order of their ids.

    Raises:
        UserError: as `special_ids`.
    """
    special, typed = special_ids(vocab), text_ids(vocab)
    return [
        _special(index, special[index]) if index in special else _typed(index, token, score, typed.get(token) == index)
        for index, (token, score) in enumerate(zip(vocab.tokens, vocab.scores.tolist(), strict=True))
    ]


def _special(index: int, text: str) -> GgufToken:
    # A tag that ends an answer would be shown to the user if its type were USER_DEFINED.
    return GgufToken(text, NEVER, UNKNOWN if index == Vocab.UNK else CONTROL)


def _typed(index: int, token: bytes, score: float, is_used: bool) -> GgufToken:
    if FIRST_BYTE <= index < N_BASE and not 0 < token[0] < 0x80:
        return GgufToken(f"<0x{token[0]:02X}>", score, BYTE)
    text = token.decode(errors="replace")
    if not is_used or WORD_MARK in text:
        return GgufToken(f"[unused_{index}]", NEVER, UNUSED)
    return GgufToken(text.replace(" ", WORD_MARK), score, NORMAL)
