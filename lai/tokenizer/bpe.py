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
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
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

# Group 1 is a run of valid UTF-8 without control characters and U+2581: what the library may be given. What is between
# runs is a character by step 1.
_VALID = (
    rb"[\x20-\x7f]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|\xe2(?!\x96\x81)[\x80-\xbf]{2}|"
    rb"\xed[\x80-\x9f][\x80-\xbf]|[\xe1\xe3-\xec\xee\xef][\x80-\xbf]{2}|"
    rb"\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}"
)
_RUN = re.compile(rb"((?:" + _VALID + rb")++)|[\x00-\xbf\xf8-\xff]|" + _MULTIBYTE, re.DOTALL)

# The cache is limited, so that memory does not grow with the corpus. Longer words rarely occur again.
_MAX_CACHED_BYTES = 48
_MAX_CACHED_WORDS = 1 << 18
# For fewer new words, or bytes of a word, building SentencePiece's model takes longer than it saves.
_MIN_BATCH_WORDS = 512
_MIN_LONG_BYTES = 1 << 14

MARKS = bytes(range(1, 9))
"""Control characters that may stand for what is between texts; see `Encoder.encode_marked`."""


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
        # Then no merge crosses an edge of a run either.
        self._by_run = self._by_word and all(_RUN.fullmatch(token) for token in self._ids if len(token) > 1)
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

    def encode_words(self, words: Sequence[bytes]) -> list[bytes]:
        """The packed ids of each word, without the cache: for many different words."""
        texts = {word: text for word in words if (text := _library_text(word))} if self._by_word else {}
        encoded: dict[bytes, bytes] = {}
        if len(texts) >= _MIN_BATCH_WORDS:
            lists = self._from_library(list(texts.values()))
            encoded = {word: array("I", ids).tobytes() for word, ids in zip(texts, lists, strict=True)}
        return [encoded.get(word) or self.packed_ids(word) for word in words]

    def encode_marked(self, texts: Sequence[bytes], between: Sequence[bytes], mark_ids: Mapping[int, int]) -> bytes:
        """The packed ids of texts end to end, with single ids between them; the fastest way for many texts.

        Args:
            texts: n texts.
            between: what is before each text and behind the last one, n + 1 strings of bytes of `MARKS`, none empty.
            mark_ids: the id that each byte stands for.
        """
        if self._by_word and (ids := self._marked_ids(texts, between, mark_ids)) is not None:
            return ids
        packed = {mark: array("I", [index]).tobytes() for mark, index in mark_ids.items()}
        marks = [b"".join(map(packed.__getitem__, string)) for string in between]
        encoded = [ids.tobytes() for ids in self.encode(texts)]
        return b"".join(chain.from_iterable(zip(marks, encoded, strict=False))) + marks[-1]

    def _marked_ids(
        self, texts: Sequence[bytes], between: Sequence[bytes], mark_ids: Mapping[int, int]
    ) -> bytes | None:
        """The result of `encode_marked`; None where the texts hold marks, or bytes that are no UTF-8.

        All texts become one, in which the marks are words of their own.
        """
        joined = b"".join(chain.from_iterable(zip(between, texts, strict=False))) + between[-1]
        if (
            not all(between)
            or not is_utf8(joined)
            or len(joined) - len(joined.translate(None, MARKS)) != sum(map(len, between))
        ):
            return None
        found = _WORD.findall(joined)
        self._prepare([found])
        packed = {bytes([mark]): array("I", [index]).tobytes() for mark, index in mark_ids.items()}
        self._word_cache.update(packed)
        ids = b"".join(map(self._word_cache.__getitem__, found))
        for mark in packed:
            del self._word_cache[mark]  # in other texts it is a character
        return ids

    def packed_ids(self, text: bytes) -> bytes:
        """All three steps on `text` as a whole: its ids as the bytes of native 32-bit unsigned numbers."""
        if len(text) >= _MIN_LONG_BYTES and self._by_run:
            return self._long_ids(text)
        return self._merged_ids(text)

    def _long_ids(self, text: bytes) -> bytes:
        """`packed_ids` of a long text, which the library merges where it can."""
        pieces: list[bytes] = []
        for word in _WORD.findall(text):
            for run in _RUN.finditer(word):
                piece = run[0]
                if len(piece) >= _MIN_LONG_BYTES and run[1]:
                    pieces.append(array("I", self._from_library([piece.decode()])[0]).tobytes())
                else:
                    pieces.append(self._merged_ids(piece))
        return b"".join(pieces)

    def _merged_ids(self, text: bytes) -> bytes:
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
        new = set[bytes]().union(*texts_words).difference(self._word_cache)
        valid = {word: text for word in new if (text := _library_text(word))}
        if len(valid) < _MIN_BATCH_WORDS:
            return
        for word, ids in zip(valid, self._from_library(list(valid.values())), strict=True):
            self._word_cache[word] = array("I", ids).tobytes()

    def _from_library(self, texts: list[str]) -> list[list[int]]:
        """The ids of texts that the library may be given."""
        if self._library is None:
            self._library = _library(self._n_tokens, self._ids, self._scores)
        ids: list[list[int]] = self._library.encode(texts, num_threads=1)
        return ids


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


def is_utf8(text: bytes) -> bool:
    """Whether a text is valid UTF-8."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _library_text(word: bytes) -> str | None:
    """`word` as SentencePiece may be given it: it replaces what is not UTF-8 and takes U+2581 for a space."""
    if len(word) > _MAX_CACHED_BYTES or word[0] < 0x20:
        return None
    try:
        text = word.decode()
    except UnicodeDecodeError:
        return None
    return None if WORD_MARK in text else text


def _library_token(token: bytes) -> str | None:
    """A token's text where the library may be given it, of any length."""
    run = _RUN.fullmatch(token)
    return token.decode() if run and run[1] else None


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
        if (index == space or index >= FIRST_BYTE + 256) and (text := _library_token(token)):
            piece = model.pieces[index]
            piece.piece, piece.type = text.replace(" ", WORD_MARK), kinds.NORMAL
            piece.score = scores.get(token, NEVER)
    return SentencePieceProcessor(model_proto=model.SerializeToString())
