"""The vocabulary: tokens, text to ids and back, and the file `vocab.bin` (docs/format.md)."""

import hashlib
import mmap
import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lai.host.errors import UserError
from lai.host.files import atomic_write, open_regular
from lai.tokenizer.bpe import FIRST_BYTE, NEVER, Encoder
from lai.tokenizer.chat import CHAT_TAGS

N_BASE = FIRST_BYTE + 256
CONTROL_TOKENS = (b"<pad>", b"<bos>", b"<eos>", b"<unk>")
# The tags' prefixes of two bytes or more: the steps by which a tag is merged. Each once, in a fixed order.
TAG_PREFIXES = tuple(dict.fromkeys(tag[:length] for tag in CHAT_TAGS for length in range(2, len(tag))))

_MAGIC = 0x4C414956
VOCAB_MAGIC = _MAGIC.to_bytes(4, "little")  # how a vocab.bin begins
_VERSION = 1
_HEADER = struct.Struct("<III")
_LENGTH = struct.Struct("<I")
_SCORE = struct.Struct("<f")


class Vocab:
    """Tokens with their scores; encodes with and without markup.

    Ids 0 to 3 are the control tokens, 4 to 259 the 256 bytes. `scores` (n,) is float32; `byte_lengths` (n,) is int32,
    the number of bytes each token stands for, 0 for control tokens. A vocabulary is immutable.
    """

    PAD, BOS, EOS, UNK = 0, 1, 2, 3

    def __init__(self, tokens: Iterable[bytes], scores: ArrayLike, name: str = "vocabulary") -> None:
        """Check and keep the tokens; `name` names them in error messages.

        Raises:
            UserError: these cannot be a vocabulary's tokens and scores.
        """
        self.tokens = tuple(tokens)
        self.scores: NDArray[np.float32] = np.array(scores, np.float32)
        self.scores.flags.writeable = False
        self._check(name)
        self._written = (b"",) * FIRST_BYTE + self.tokens[FIRST_BYTE:]
        self.byte_lengths: NDArray[np.int32] = np.array([len(token) for token in self._written], np.int32)
        self.byte_lengths.flags.writeable = False

    def _check(self, name: str) -> None:
        if len(self.tokens) < N_BASE or self.scores.shape != (len(self.tokens),):
            raise UserError(f"{name} has {len(self.tokens)} tokens; at least {N_BASE} are expected, each with a score")
        if not np.isfinite(self.scores).all():
            index = int(np.flatnonzero(~np.isfinite(self.scores))[0])
            raise UserError(f"{name}: token {index} has the score {self.scores[index]}; the file is damaged")
        if (self.scores[:FIRST_BYTE] > NEVER).any():
            raise UserError(f"{name}: the control tokens 0 to 3 must have the score {NEVER:g}; the file is foreign")
        if any(self.tokens[FIRST_BYTE + byte] != bytes([byte]) for byte in range(256)):
            raise UserError(f"{name}: tokens 4 to 259 are not the 256 bytes in order; the file is foreign or damaged")

    def __len__(self) -> int:
        return len(self.tokens)

    def __repr__(self) -> str:
        return f"Vocab({len(self)} tokens, {self.fingerprint[:12]})"

    def __reduce__(self) -> tuple[type["Vocab"], tuple[tuple[bytes, ...], NDArray[np.float32]]]:
        return Vocab, (self.tokens, self.scores)

    @classmethod
    def load(cls, path: Path | str, offset: int | None = None) -> "Vocab":
        """Read a vocabulary file; `lai.export.vocab_file.load_vocab` reads the one in a model file, too.

        Args:
            offset: where the vocabulary starts in a larger file; None: the file holds nothing else.

        Raises:
            UserError: the file is missing, foreign, truncated or damaged.
        """
        path = Path(path)
        try:
            with open_regular(path, "the vocabulary") as file:
                if path.stat().st_size == 0:
                    raise UserError(f"{path} is empty; expected a vocabulary")
                # The larger file may be very large: only the vocabulary's pages are loaded.
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    vocab, end = cls._parse(data, offset or 0, str(path))
                    if offset is None and end != len(data):
                        raise UserError(f"{path} has {len(data) - end} bytes after its last token; the file is damaged")
                    return vocab
        except OSError as error:
            raise UserError(f"cannot read the vocabulary {path}: {error.strerror or error}") from None

    @classmethod
    def from_bytes(cls, data: bytes | memoryview, name: str = "vocabulary") -> "Vocab":
        """Read the record at the start of `data`; more may follow it, as in a model file. `name` is for error lines.

        Raises:
            UserError: the record is foreign, truncated or damaged.
        """
        return cls._parse(data, 0, name)[0]

    @classmethod
    def _parse(cls, data: bytes | memoryview | mmap.mmap, offset: int, name: str) -> tuple["Vocab", int]:
        """The vocabulary whose record starts at `offset`, and where the record ends."""
        size = len(data)
        if offset + _HEADER.size > size:
            raise UserError(f"{name} ends before the vocabulary does ({size} bytes found); copy or build it again")
        magic, version, count = _HEADER.unpack_from(data, offset)
        if magic != _MAGIC:
            raise UserError(f"{name} is not a vocabulary: it starts with 0x{magic:08X}, expected 0x{_MAGIC:08X}")
        if version != _VERSION:
            raise UserError(f"{name} has vocabulary version {version}; this program reads {_VERSION}")
        position = offset + _HEADER.size
        if count > (size - position) // (_LENGTH.size + _SCORE.size):
            raise UserError(f"{name} says it has {count} tokens but has only {size - position} bytes for them")
        tokens, scores = [], []
        for index in range(count):
            # With less than a length's bytes left, the token's end is past the file's all the same.
            (length,) = _LENGTH.unpack_from(data, position) if position + _LENGTH.size <= size else (0,)
            start = position + _LENGTH.size
            position = start + length + _SCORE.size
            if position > size:
                raise UserError(f"{name} ends inside token {index} of {count}; it is cut short or damaged")
            tokens.append(bytes(data[start : start + length]))
            scores.append(_SCORE.unpack_from(data, start + length)[0])
        return cls(tokens, scores, name), position

    def to_bytes(self) -> bytes:
        """The vocabulary as `vocab.bin` holds it."""
        records = (
            _LENGTH.pack(len(token)) + token + _SCORE.pack(score)
            for token, score in zip(self.tokens, self.scores.tolist(), strict=True)
        )
        return _HEADER.pack(_MAGIC, _VERSION, len(self)) + b"".join(records)

    def save(self, path: Path | str) -> None:
        """Write `vocab.bin` atomically."""
        with atomic_write(path) as file:
            file.write(self.to_bytes())

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 of `to_bytes()`, in hexadecimal."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @cached_property
    def _markup_encoder(self) -> Encoder:
        return Encoder(self.tokens, self.scores.tolist())

    @cached_property
    def _text_encoder(self) -> Encoder:
        return Encoder(self.tokens, self.scores.tolist(), without=frozenset(CHAT_TAGS + TAG_PREFIXES))

    def encode(self, text: str | bytes) -> list[int]:
        """The ids by the format's three steps over the whole vocabulary: chat tags in `text` are markup."""
        ids: list[int] = self._markup_encoder.encode([to_utf8(text)])[0].tolist()
        return ids

    def encode_text(self, text: str | bytes) -> list[int]:
        """The ids of text: chat tags in it are literal text, never markup.

        The three steps over the vocabulary without the tags and without their prefixes of two bytes or more.
        """
        ids: list[int] = self._text_encoder.encode([to_utf8(text)])[0].tolist()
        return ids

    def encode_batch(self, texts: Sequence[str | bytes]) -> list[NDArray[np.uint32]]:
        """`encode_text` of many texts at once, much faster than one by one; the arrays are read-only."""
        return self._text_encoder.encode([to_utf8(text) for text in texts])

    def encode_words(self, words: Sequence[bytes]) -> list[bytes]:
        """`encode_text` of many different words, as the bytes of native 32-bit unsigned numbers."""
        return self._text_encoder.encode_words(words)

    def encode_marked(self, texts: Sequence[bytes], between: Sequence[bytes], mark_ids: Mapping[int, int]) -> bytes:
        """`encode_text` of many texts end to end, with ids between them, as `Encoder.encode_marked` gives them."""
        return self._text_encoder.encode_marked(texts, between, mark_ids)

    def decode(self, ids: Iterable[int]) -> bytes:
        """The bytes of the tokens; control tokens have none.

        Raises:
            UserError: an id is not in the vocabulary.
        """
        written = self._written
        ids = list(ids)
        if ids and not 0 <= min(ids) <= max(ids) < len(written):
            wrong = next(index for index in ids if not 0 <= index < len(written))
            raise UserError(f"token id {wrong} is not in this vocabulary, whose ids are 0 to {len(written) - 1}")
        return b"".join([written[index] for index in ids])

    def tag_id(self, tag: bytes) -> int:
        """The id of a chat tag, as in `tag_id(b"<user>")`.

        Raises:
            UserError: the vocabulary has no such tag.
        """
        ids = self.encode(tag) if tag in CHAT_TAGS else []
        if len(ids) != 1:
            raise UserError(
                f"this vocabulary has no token for the chat tag {tag.decode(errors='replace')!r}; build a new one"
            )
        return ids[0]


def to_utf8(text: str | bytes) -> bytes:
    """Text as bytes: escaped bytes (as in `sys.argv`) become themselves again, other surrogates three bytes each."""
    if isinstance(text, str):
        try:
            return text.encode()
        except UnicodeEncodeError:
            return b"".join(map(_character_to_utf8, text))
    return bytes(text)


def _character_to_utf8(character: str) -> bytes:
    escaped = "\udc80" <= character <= "\udcff"
    return character.encode("utf-8", "surrogateescape" if escaped else "surrogatepass")
