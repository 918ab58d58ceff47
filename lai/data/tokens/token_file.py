"""The tokens of many documents in one file: encoding them, writing them, and mapping them into memory.

`x.bin` holds the tokens of all documents end to end, uint16 for vocabularies of up to 65,536 tokens, else uint32;
`x.idx` holds where each document starts, uint64, and the end of the last one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lai.tokenizer.chat import ROLES, Document
from lai.tokenizer.vocab import Vocab


@dataclass(frozen=True)
class TokenFile:
    """A finished file, mapped into memory at first use. Pickling carries only its path: each process maps it itself."""

    path: Path
    dtype: str

    @cached_property
    def tokens(self) -> NDArray[Any]:
        """All documents' tokens end to end, (tokens,) of `dtype`."""
        return np.memmap(self.path, self.dtype, mode="r")

    @cached_property
    def offsets(self) -> NDArray[np.uint64]:
        """Where each document starts in `tokens`, and the end of the last one, (documents + 1,)."""
        return np.memmap(self.path.with_suffix(".idx"), np.uint64, mode="r")

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "dtype": self.dtype}

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def document(self, index: int) -> NDArray[Any]:
        """The tokens of one document, from BOS to EOS."""
        return self.tokens[int(self.offsets[index]) : int(self.offsets[index + 1])]


def token_dtype(vocab_size: int) -> str:
    """The narrowest type that holds every id."""
    return "uint16" if vocab_size <= 1 << 16 else "uint32"


class TokenWriter:
    """Appends documents to `x.bin` and `x.idx`; a context manager."""

    def __init__(self, path: Path, dtype: str) -> None:
        self._tokens = path.open("wb")
        self._offsets = path.with_suffix(".idx").open("wb")
        self._dtype = dtype
        self.documents = self.tokens = self.bytes = 0
        self._offsets.write(np.zeros(1, np.uint64).tobytes())

    def add(self, tokens: NDArray[Any], lengths: NDArray[Any], size: int) -> None:
        """Append documents: their tokens end to end, the number of tokens of each, and the bytes of their text."""
        self._tokens.write(tokens.astype(self._dtype).tobytes())
        self._offsets.write((self.tokens + np.cumsum(lengths)).astype(np.uint64).tobytes())
        self.documents += len(lengths)
        self.tokens += len(tokens)
        self.bytes += size

    def __enter__(self) -> "TokenWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tokens.close()
        self._offsets.close()


def encode_documents(documents: Sequence[Document], vocab: Vocab) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The documents' tokens end to end, (tokens,), and each document's number of tokens, (documents,).

    A document is BOS, its turns (an example's between the tokens of its tags), EOS.
    """

    def control(token: int) -> NDArray[np.uint32]:
        return np.array([token], np.uint32)

    bos, eos = control(Vocab.BOS), control(Vocab.EOS)
    tags = {role: [control(vocab.tag_id(tag % role.encode())) for tag in (b"<%b>", b"</%b>")] for role in ROLES}
    contents = iter(vocab.encode_batch([turn.content for document in documents for turn in document]))
    pieces: list[Any] = []
    ends = []
    for document in documents:
        pieces.append(bos)
        for turn in document:
            content = np.asarray(next(contents), np.uint32)
            pieces += [content] if turn.role == "text" else [tags[turn.role][0], content, tags[turn.role][1]]
        pieces.append(eos)
        ends.append(len(pieces))
    piece_ends = np.cumsum([len(piece) for piece in pieces])
    return np.concatenate(pieces), np.diff(piece_ends[np.array(ends) - 1], prepend=0)
