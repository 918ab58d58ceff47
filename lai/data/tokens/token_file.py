"""The tokens of many documents in one file: encoding them, writing them, and reading them.

`x.bin` holds the tokens of all documents end to end, uint16 for vocabularies of up to 65,536 tokens, else uint32;
`x.idx` holds where each document starts, uint64, and the end of the last one.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lai.host.errors import UserError
from lai.host.files import check_regular, file_digest
from lai.tokenizer.bpe import MARKS
from lai.tokenizer.chat import ROLES, Document
from lai.tokenizer.vocab import Vocab

_TAGS = (b"<%b>", b"</%b>")


@dataclass(frozen=True)
class TokenFile:
    """A finished file, opened at first use. Pickling carries only its path: each process opens it itself.

    The tokens are read, not mapped into memory: the system ends a process that uses the map of a file which was cut.
    """

    path: Path
    dtype: str

    @cached_property
    def _file(self) -> FileIO:
        check_regular(self.path)
        return FileIO(self.path)

    @cached_property
    def offsets(self) -> NDArray[np.uint64]:
        """Where each document starts among the tokens, and the end of the last one, (documents + 1,)."""
        check_regular(self.path.with_suffix(".idx"))
        return np.fromfile(self.path.with_suffix(".idx"), np.uint64)

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "dtype": self.dtype}

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def is_consistent(self) -> bool:
        """Whether the documents follow each other to the file's end, each of at least two tokens."""
        size = self.path.stat().st_size
        total = size // np.dtype(self.dtype).itemsize
        if not len(self.offsets) or self.offsets[0] != 0 or self.offsets[-1] != total or self.offsets.max() > total:
            return False
        return bool((np.diff(self.offsets.astype(np.int64)) >= 2).all())

    def digest(self) -> str:
        """The SHA-256 of all tokens."""
        return file_digest(self.path)

    def document(self, index: int) -> NDArray[Any]:
        """The tokens of one document, from BOS to EOS."""
        begin, end = self.offsets[index : index + 2].astype(np.int64)
        return self.read(np.array([begin]), np.array([end - begin]))

    def read(self, starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[Any]:
        """The tokens of several stretches end to end, of `dtype`.

        Args:
            starts: (stretches,), the first token of each.
            sizes: (stretches,), how many.

        Raises:
            UserError: the file has fewer tokens than when it was written.
        """
        width = np.dtype(self.dtype).itemsize
        read = _reader(self._file)
        data = b"".join(map(read, (sizes * width).tolist(), (starts * width).tolist()))
        if len(data) != width * sizes.sum():
            expected = width * int(self.offsets[-1])
            raise UserError(
                f"{self.path} was cut while it was in use: it has {self.path.stat().st_size:,} bytes, {expected:,} are "
                "expected; start again, and it is built anew"
            )
        return np.frombuffer(data, self.dtype)


def _reader(file: FileIO) -> Callable[[int, int], bytes]:
    """Reads so many bytes from a place on, fewer at the file's end; forked processes do not disturb each other."""
    if hasattr(os, "pread"):
        return partial(os.pread, file.fileno())

    def read(size: int, start: int) -> bytes:  # on Windows, where no process is forked
        file.seek(start)
        return file.read(size)

    return read


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


_BOS, _EOS = MARKS[0], MARKS[1]
_BETWEEN_DOCUMENTS = bytes([_EOS, _BOS])


def encode_documents(documents: Sequence[Document], vocab: Vocab) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The documents' tokens end to end, (tokens,), and each document's number of tokens, (documents,).

    A document is BOS, its turns (an example's between the tokens of its tags), EOS.
    """
    tags = {role: (bytes([MARKS[2 + 2 * n]]), bytes([MARKS[3 + 2 * n]])) for n, role in enumerate(ROLES)}
    mark_ids = {_BOS: Vocab.BOS, _EOS: Vocab.EOS}
    for role, marks in tags.items():
        mark_ids |= {mark[0]: vocab.tag_id(tag % role.encode()) for mark, tag in zip(marks, _TAGS, strict=True)}
    texts: list[bytes] = []
    between: list[bytes] = []
    before = bytes([_BOS])  # what is before the next text
    for document in documents:
        for turn in document:
            texts.append(turn.content)
            if turn.role == "text":
                between.append(before)
                before = b""
            else:
                opening, closing = tags[turn.role]
                between.append(before + opening)
                before = closing
        before += _BETWEEN_DOCUMENTS
    between.append(before[:-1])
    tokens = np.frombuffer(vocab.encode_marked(texts, between, mark_ids), np.uint32)
    # No text is encoded to control tokens.
    return tokens, np.diff(np.flatnonzero(tokens == Vocab.EOS), prepend=-1)
