"""Learning a vocabulary from text.

1. A sample of the text, of limited size, is cut into words (`lai.tokenizer.bpe.words`), and these are counted.
2. SentencePiece's BPE trainer learns merges from the counted words, some more than there is room for.
3. The first that fit become tokens. A token that the encoded sample uses fewer than `min_freq` times is removed, unless
   it is a stepping stone: another token is merged by way of it, or holds it as a character beyond ASCII. The next
   merges fill the room. This repeats until nothing changes. A `tokenizer.json` joins tokens alone, so it needs these
   characters.
4. The chat tags follow, and their prefixes, by which the three steps reach them (docs/format.md).

Learned tokens lie within one word: none has a space after anything but spaces. They may begin with one space, or be a
run of spaces, and are at most 20 characters long. Digits stay single, so that numbers are spelled alike everywhere and
take no room. ASCII characters are not learned: their byte tokens stand for them already.
"""

import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count as count_from

import numpy as np
from numpy.typing import NDArray

from lai.host.errors import UserError
from lai.host.workers import IN_PROCESS, Workers
from lai.tokenizer import bpe
from lai.tokenizer.chat import CHAT_TAGS
from lai.tokenizer.vocab import CONTROL_TOKENS, N_BASE, TAG_PREFIXES, Vocab

MAX_TOKEN_CHARACTERS = 20
# Text beyond this is sampled: merges hardly change any more, and memory and time stay bounded.
SAMPLE_BYTES = 64 << 20
_BLOCK_BYTES = 1 << 20
# The trainer counts positions in 16 bits, and longer words than this teach it nothing.
_WORD_CHARACTERS = 1000
# Merges learned beyond the room there is, to replace those that `min_freq` removes.
_SPARE = 1.15

_BYTE_SCORE = -100.0
_TAG_SCORE = 1000.0
_MARKUP = CHAT_TAGS + TAG_PREFIXES
# From bytes, control tokens and chat tags alone to where float32 scores no longer count the merges exactly.
VOCAB_SIZES = _MIN_SIZE, _MAX_SIZE = N_BASE + len(_MARKUP), 1 << 24


@dataclass(frozen=True)
class TrainingReport:
    """The result of `train_vocab`. Sizes are in bytes; all fields after `text_bytes` are about the sample."""

    texts: int
    text_bytes: int
    sample_bytes: int
    sample_tokens: int
    learned: int
    stepping_stones: int
    removed: int
    rounds: int
    unfilled: int

    @property
    def bytes_per_token(self) -> float:
        """How much text a token stands for on average; 0 for no text."""
        return self.sample_bytes / self.sample_tokens if self.sample_tokens else 0.0


def learn_vocab(texts: Iterable[bytes], vocab_size: int, min_freq: int = 2) -> Vocab:
    """The vocabulary alone of `train_vocab`."""
    return train_vocab(texts, vocab_size, min_freq)[0]


def train_vocab(texts: Iterable[bytes], vocab_size: int, min_freq: int = 2) -> tuple[Vocab, TrainingReport]:
    """Learn a vocabulary of at most `vocab_size` tokens from documents' contents (without tags), and report on it.

    The same texts give the same vocabulary. A small text gives fewer tokens.

    Raises:
        UserError: `vocab_size` or `min_freq` is out of range.
    """
    _check_sizes(vocab_size, min_freq)
    sample = Sample()
    for text in texts:
        sample.add(cut_into_blocks([text]))
    return train_on_sample(sample, vocab_size, min_freq)


def train_on_sample(
    sample: "Sample", vocab_size: int, min_freq: int = 2, workers: Workers = IN_PROCESS
) -> tuple[Vocab, TrainingReport]:
    """As `train_vocab`, of a text that is sampled already.

    Raises:
        UserError: as `train_vocab`.
    """
    _check_sizes(vocab_size, min_freq)
    words = sample.words(workers)
    room = vocab_size - _MIN_SIZE
    selection = _select(words, _candidates(words, room, min_freq), room, min_freq, workers)
    report = TrainingReport(
        texts=sample.texts,
        text_bytes=sample.text_bytes,
        sample_bytes=sum(len(word) * count for word, count in words.items()),
        sample_tokens=selection.sample_tokens,
        learned=len(selection.learned),
        stepping_stones=selection.stepping_stones,
        removed=selection.removed,
        rounds=selection.rounds,
        unfilled=room - len(selection.learned),
    )
    return _assemble(selection.learned), report


def _check_sizes(vocab_size: int, min_freq: int) -> None:
    if not _MIN_SIZE <= vocab_size <= _MAX_SIZE:
        raise UserError(
            f"vocab_size is {vocab_size}; it must be {_MIN_SIZE} (bytes, control tokens, chat tags) to {_MAX_SIZE}"
        )
    if min_freq < 1:
        raise UserError(f"min_freq is {min_freq}; it must be at least 1")


# Always a word boundary in UTF-8 text.
_EDGE = re.compile(rb"[\n!-~](?=[ \n])")


@dataclass(frozen=True)
class Blocks:
    """Texts cut into blocks at the edges of words: all bytes end to end, and the length of each block."""

    texts: int
    joined: bytes
    lengths: NDArray[np.int64]


def cut_into_blocks(texts: Sequence[bytes]) -> Blocks:
    """The blocks of texts, each text by itself; few texts are longer than a block."""
    blocks: list[bytes] = []
    for text in texts:
        if len(text) <= _BLOCK_BYTES:
            if text:
                blocks.append(text)
            continue
        start = 0
        while start < len(text):
            edge = _EDGE.search(text, start + _BLOCK_BYTES)
            end = edge.end() if edge else len(text)
            blocks.append(text[start:end])
            start = end
    return Blocks(len(texts), b"".join(blocks), np.fromiter(map(len, blocks), np.int64, len(blocks)))


class Sample:
    """Every block while they fit into `SAMPLE_BYTES`; then every second block, every fourth, and so on."""

    def __init__(self) -> None:
        self.texts = 0
        self.text_bytes = 0
        self._blocks: list[bytes] = []
        self._kept_bytes = 0
        self._seen = 0
        self._stride = 1

    def add(self, found: Blocks) -> None:
        """Add the next blocks."""
        self.texts += found.texts
        self.text_bytes += len(found.joined)
        ends = np.cumsum(found.lengths)
        start = 0
        while start < len(ends):
            stop = self._add_until_full(found, ends, start)
            self._seen += stop - start
            start = stop
            if self._kept_bytes > SAMPLE_BYTES and len(self._blocks) > 1:
                self._stride *= 2
                self._blocks = self._blocks[::2]
                self._kept_bytes = sum(map(len, self._blocks))

    def _add_until_full(self, found: Blocks, ends: NDArray[np.int64], start: int) -> int:
        """Add blocks from `start` on, up to the one with which they are too many; returns the index behind it."""
        chosen = np.arange(start + -self._seen % self._stride, len(ends), self._stride)
        stop = len(ends)
        if self._kept_bytes > SAMPLE_BYTES:  # halving was not enough; each block is another chance
            chosen, stop = chosen[chosen == start], start + 1
        else:
            sizes = self._kept_bytes + np.cumsum(found.lengths[chosen])
            fitting = int(np.searchsorted(sizes, SAMPLE_BYTES, side="right"))
            if fitting < len(chosen):
                stop = int(chosen[fitting]) + 1
            chosen = chosen[: fitting + 1]
        self._blocks += [found.joined[ends[index] - found.lengths[index] : ends[index]] for index in chosen.tolist()]
        self._kept_bytes += int(found.lengths[chosen].sum())
        return stop

    def words(self, workers: Workers = IN_PROCESS) -> dict[bytes, int]:
        """The count of each word, in an order that does not depend on the order of the texts."""
        counts: Counter[bytes] = Counter()
        calls = ((self._blocks[part],) for part in _shares(len(self._blocks), workers))
        for found in workers.map(_count_words, calls):
            if counts:
                counts.update(found)
            else:
                counts = found
        return dict(sorted(counts.items()))


def _shares(count: int, workers: Workers) -> list[slice]:
    """So many items in equal shares, one for each worker."""
    share = -(-count // workers.count) or 1
    return [slice(start, start + share) for start in range(0, count, share)]


def _count_words(_: None, blocks: Sequence[bytes]) -> Counter[bytes]:
    counts: Counter[bytes] = Counter()
    for block in blocks:
        counts.update(bpe.words(block))
    return counts


# Characters that the trainer refuses or interprets; U+FFFD stands for bytes that are not UTF-8.
_UNTRAINABLE = re.compile("[\x00-\x1f\ufffd\u2581\u2585]+")


def _candidates(words: dict[bytes, int], room: int, min_freq: int) -> list[bytes]:
    """The tokens that may be learned, the best first: frequent characters beyond ASCII, then merges in their order."""
    fragments: Counter[str] = Counter()
    for word, count in words.items():
        for fragment in _UNTRAINABLE.split(word.decode(errors="replace")):
            for start in range(0, len(fragment), _WORD_CHARACTERS):
                fragments[fragment[start : start + _WORD_CHARACTERS]] += count
    characters = _count_characters(fragments)
    common = sorted(c for c, count in characters.items() if count >= min_freq and not c.isascii())
    common.sort(key=lambda character: -characters[character])
    merges = _learn_merges(fragments, len(characters), int(room * _SPARE)) if room else []
    kept = common[: room // 2]
    rare = characters.keys() - kept
    merges = [text for text in merges if text.isascii() or not any(c in rare and not c.isascii() for c in text)]
    tokens = [text.encode() for text in kept + merges]
    return [token for token in tokens if token not in _MARKUP]


def _count_characters(fragments: dict[str, int]) -> dict[str, int]:
    """How often each character occurs in fragments that occur so often."""
    points = np.frombuffer("".join(fragments).encode("utf-32-le"), np.uint32)
    weights = np.repeat(np.array(list(fragments.values()), np.int64), list(map(len, fragments)))
    totals = np.bincount(points, weights) if len(points) else np.zeros(0)
    return {chr(point): int(totals[point]) for point in np.flatnonzero(totals)}


def _learn_merges(fragments: dict[str, int], n_characters: int, n_merges: int) -> list[str]:
    from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

    if not fragments:
        return []
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=(f"{fragment}\t{count}" for fragment, count in fragments.items()),
        input_format="tsv",
        model_writer=model,
        model_type="bpe",
        # The trainer counts its unknown token and the characters in.
        vocab_size=1 + n_characters + n_merges,
        hard_vocab_limit=False,
        character_coverage=1.0,
        max_sentencepiece_length=MAX_TOKEN_CHARACTERS,
        max_sentence_length=1 << 16,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        split_by_whitespace=True,
        allow_whitespace_only_pieces=True,
        # Letters of two scripts, or letters and punctuation, are never merged: so no token holds a whole chat tag.
        split_by_unicode_script=True,
        split_digits=True,
        unk_id=0,
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        # A name that no text can hold: control characters were cut out.
        unk_piece="\x01",
        num_threads=1,
        minloglevel=2,
    )
    learned = SentencePieceProcessor(model_proto=model.getvalue())
    pieces = [learned.id_to_piece(index) for index in range(1, learned.get_piece_size())]
    return [piece.replace(bpe.WORD_MARK, " ") for piece in pieces if len(piece) > 1]


@dataclass(frozen=True)
class _Selection:
    learned: list[bytes]
    stepping_stones: int
    removed: int
    rounds: int
    sample_tokens: int


def _select(
    words: dict[bytes, int], candidates: Sequence[bytes], room: int, min_freq: int, workers: Workers = IN_PROCESS
) -> _Selection:
    """The first `room` candidates that the words use `min_freq` times or need as stepping stones."""
    texts = list(words)
    counts = np.array(list(words.values()), np.int64)
    shares = _shares(len(texts), workers)
    removed: set[bytes] = set()
    for rounds in count_from(1):
        learned = [token for token in candidates if token not in removed][:room]
        calls = ((texts[part], counts[part]) for part in shares)
        uses = sum(workers.map(_count_uses, calls, learned), np.zeros(N_BASE + len(learned) + len(_MARKUP)))
        used = {token for token, n in zip(learned, uses[N_BASE:], strict=False) if n >= min_freq}
        steps = _steps(learned)
        stones = {step for token in used for step in steps[token]} - used
        unneeded = [token for token in learned if token not in used and token not in stones]
        if not unneeded:
            return _Selection(learned, len(stones), len(removed), rounds, int(uses.sum()))
        # Only those by way of which no other unneeded token is merged: without that one, they may be used enough.
        needed_by_unneeded = {step for token in unneeded for step in steps[token]}
        removed.update(token for token in unneeded if token not in needed_by_unneeded)
    raise AssertionError


def _count_uses(learned: Sequence[bytes], words: Sequence[bytes], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """How often words that occur so often use each token, exact up to 2**53; (tokens,)."""
    vocab = _assemble(learned)
    encoded = vocab.encode_words(words)
    weights = np.repeat(counts, [len(ids) // 4 for ids in encoded])
    uses = np.bincount(np.frombuffer(b"".join(encoded), np.uint32), weights, len(vocab))
    return uses.astype(np.float64)


def _steps(learned: Sequence[bytes]) -> dict[bytes, list[bytes]]:
    """For each token the shorter tokens by way of which it is merged: its characters beyond ASCII, and merged ones."""
    encoder = bpe.Encoder(learned, range(0, -len(learned), -1))
    steps = {}
    for token in learned:
        results = [character for character in bpe.characters(token) if len(character) > 1]
        encoder.merge(token, results)
        steps[token] = [step for step in results if step != token]
    return steps


def _assemble(learned: Sequence[bytes]) -> Vocab:
    """The vocabulary with these learned tokens, the first learned first."""
    tokens = [*CONTROL_TOKENS, *(bytes([byte]) for byte in range(256)), *learned, *_MARKUP]
    scores = [bpe.NEVER] * len(CONTROL_TOKENS) + [_BYTE_SCORE] * 256
    scores += [-float(order) for order in range(1, len(learned) + 1)]
    scores += [_TAG_SCORE + len(tag) for tag in _MARKUP]
    return Vocab(tokens, scores)
