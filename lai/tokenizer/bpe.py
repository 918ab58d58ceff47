"""The three encoding steps of docs/format.md: characters, merges by score, ids.

The steps are implemented here in plain Python, in O(n log n), for any vocabulary. If no token crosses a word boundary,
as in every vocabulary that LAi trains, encoding is much faster: no merge crosses a boundary either, so a text's ids are
the ids of its words in order, and each word is encoded once and cached. Many new words at a time go through
SentencePiece, whose BPE encoder merges in the same order.
"""

import heapq
import operator
import re
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A token with this score, or a lower one, counts as no token.
NEVER = -1e10
# The id of the byte 0; the other bytes' ids follow.
FIRST_BYTE = 4
# What SentencePiece writes for a space.
WORD_MARK = "\u2581"

# Step 1: a character is as long as its lead byte announces, whatever follows; at the text's end it is what is left.
_MULTIBYTE = rb"[\xc0-\xdf].?|[\xe0-\xef].{0,2}|[\xf0-\xf7].{0,3}"
_CHARACTER = re.compile(rb"[\x00-\xbf\xf8-\xff]|" + _MULTIBYTE, re.DOTALL)

# A word: any spaces, then letters, or ASCII punctuation, or one digit. Control characters stand alone. All characters
# beyond ASCII count as letters, and so do the characters of chat tags, "<", "/" and ">", so that a tag is one word.
# Whether there is an edge between two neighbouring characters depends on these two alone, which is why a token that is
# one word can only be merged within a word. Possessive quantifiers keep the time linear.
_LETTERS = rb"(?:[A-Za-z<>/\x80-\xbf\xf8-\xff]++|" + _MULTIBYTE + rb")++"
_WORD = re.compile(rb" *+(?:" + _LETTERS + rb"|[!-.:;=?@[-`{-\x7f]++|[0-9])| ++|[\x00-\x1f]", re.DOTALL)

# The cache is limited, so that memory does not grow with the corpus. Longer words rarely occur again.
_MAX_CACHED_BYTES = 48
_MAX_CACHED_WORDS = 1 << 18
# For fewer new words, building SentencePiece's model takes longer than it saves.
_MIN_BATCH_WORDS = 512


def characters(text: bytes) -> list[bytes]:
    """Step 1: `text` cut into characters by their lead bytes; a byte that leads nothing stands alone."""
    return _CHARACTER.findall(text)


def words(text: bytes) -> list[bytes]:
    """`text` cut into the words that no token of a trained vocabulary crosses."""
    return _WORD.findall(text)


def is_word(token: bytes) -> bool:
    """Whether `token` lies within one word wherever it occurs."""
    return _WORD.fullmatch(token) is not None


class Encoder:
    """The three steps over a set of tokens; those whose bytes are in `without` count as no tokens."""

    def __init__(
        self, tokens: Sequence[bytes], scores: Iterable[float], without: frozenset[bytes] = frozenset()
    ) -> None:
        self._scores: dict[bytes, float] = {}
        self._ids: dict[bytes, int] = {}
        for index, (token, score) in enumerate(zip(tokens, scores, strict=True)):
            if token and score > NEVER and token not in without:
                self._ids[token] = index
                self._scores[token] = max(score, self._scores.get(token, NEVER))
        self._n_tokens = len(tokens)
        self._by_word = all(is_word(token) for token in self._ids if len(token) > 1)
        self._word_cache = _WordCache(self)
        self._library: Any = None

    def encode(self, texts: Sequence[bytes]) -> list[NDArray[np.uint32]]:
        """The ids of each text, as read-only arrays."""
        if not self._by_word:
            return [np.frombuffer(self.packed_ids(text), np.uint32) for text in texts]
        texts_words = [_WORD.findall(text) for text in texts]
        self._prepare(texts_words)
        ids_of = self._word_cache.__getitem__
        return [np.frombuffer(b"".join(map(ids_of, found)), np.uint32) for found in texts_words]

    def packed_ids(self, text: bytes) -> bytes:
        """All three steps on `text` as a whole: its ids as the bytes of native 32-bit unsigned numbers."""
        ids = array("I")
        for piece in self.merge(text):
            index = self._ids.get(piece)
            if index is None:
                ids.extend(byte + FIRST_BYTE for byte in piece)
            else:
                ids.append(index)
        return ids.tobytes()

    def merge(self, text: bytes, results: list[bytes] | None = None) -> list[bytes]:
        """Steps 1 and 2 on `text` as a whole: the pieces that remain. `results` collects the result of each merge."""
        pieces: list[bytes] = _CHARACTER.findall(text)
        score_of = self._scores.get
        # Candidates (negated score, index of the left piece, both pieces joined): the best and leftmost comes first.
        agenda = [
            (-score, left, joined)
            for left, joined in enumerate(map(operator.add, pieces, pieces[1:]))
            if (score := score_of(joined)) is not None
        ]
        heapq.heapify(agenda)
        end = len(pieces)
        following = list(range(1, end + 1))
        preceding = list(range(-1, end - 1))
        while agenda:
            _, left, joined = heapq.heappop(agenda)
            right = following[left]
            # A candidate is out of date if either piece has been merged since; then the lengths differ.
            if not pieces[left] or right == end or len(pieces[left]) + len(pieces[right]) != len(joined):
                continue
            if results is not None:
                results.append(joined)
            pieces[left], pieces[right] = joined, b""
            before, after = preceding[left], following[right]
            following[left] = after
            if after < end:
                preceding[after] = left
                longer = joined + pieces[after]
                if (score := score_of(longer)) is not None:
                    heapq.heappush(agenda, (-score, left, longer))
            if before >= 0:
                longer = pieces[before] + joined
                if (score := score_of(longer)) is not None:
                    heapq.heappush(agenda, (-score, before, longer))
        return [piece for piece in pieces if piece]

    def _prepare(self, texts_words: list[list[bytes]]) -> None:
        """Cache the ids of all new words at once, if they are many."""
        if len(self._word_cache) > _MAX_CACHED_WORDS:
            self._word_cache.clear()
        if sum(map(len, texts_words)) < _MIN_BATCH_WORDS:
            return
        seen = set[bytes]().union(*texts_words)
        valid = {word: text for word in seen if word not in self._word_cache and (text := _library_text(word))}
        if len(valid) < _MIN_BATCH_WORDS:
            return
        if self._library is None:
            self._library = _library(self._n_tokens, self._ids, self._scores)
        for word, ids in zip(valid, self._library.encode(list(valid.values()), num_threads=1), strict=True):
            self._word_cache[word] = array("I", ids).tobytes()


class _WordCache(dict[bytes, bytes]):
    """The packed ids of words; a missing word is encoded at its first lookup."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self._encoder = encoder

    def __missing__(self, word: bytes) -> bytes:
        ids = self._encoder.packed_ids(word)
        if len(word) <= _MAX_CACHED_BYTES:
            self[word] = ids
        return ids


def _library_text(word: bytes) -> str | None:
    """`word` as SentencePiece may be given it: it replaces what is not UTF-8 and takes U+2581 for a space."""
    if len(word) > _MAX_CACHED_BYTES or word[0] < 0x20:
        return None
    try:
        text = word.decode()
    except UnicodeDecodeError:
        return None
    return None if WORD_MARK in text else text


def _library(n_tokens: int, ids: dict[bytes, int], scores: dict[bytes, float]) -> Any:
    """A SentencePiece processor that gives our ids for words that `_library_text` lets through.

    Tokens that no such word can contain are left out. No token's text is taken for another's name: words of several
    characters have no control characters, and `<0x41>` is not a word.
    """
    from sentencepiece import SentencePieceProcessor
    from sentencepiece.sentencepiece_model_pb2 import ModelProto  # type: ignore[attr-defined]

    model = ModelProto()
    model.trainer_spec.model_type = model.trainer_spec.BPE
    model.trainer_spec.vocab_size = n_tokens
    model.trainer_spec.byte_fallback = True
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.add_dummy_prefix = False
    model.normalizer_spec.remove_extra_whitespaces = False
    kinds = model.SentencePiece
    for index in range(n_tokens):
        model.pieces.add(piece=f"\x01{index}", type=kinds.CONTROL)
    model.pieces[0].type = kinds.UNKNOWN
    space = FIRST_BYTE + ord(" ")
    for byte in range(256):
        # A space is looked up as the word mark, as a token and never as a byte; an idle control token gives its id.
        piece = model.pieces[FIRST_BYTE + byte if FIRST_BYTE + byte != space else FIRST_BYTE - 1]
        piece.piece, piece.type = f"<0x{byte:02X}>", kinds.BYTE
    for token, index in {b" ": space, **ids}.items():
        if (index == space or index >= FIRST_BYTE + 256) and (text := _library_text(token)):
            piece = model.pieces[index]
            piece.piece, piece.type = text.replace(" ", WORD_MARK), kinds.NORMAL
            piece.score = scores.get(token, NEVER)
    return SentencePieceProcessor(model_proto=model.SerializeToString())
