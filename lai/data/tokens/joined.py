"""Several token files as if their documents stood in one, one file after the other."""

from collections.abc import Sequence
from functools import cached_property
from hashlib import sha256
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Tokens(Protocol):
    """What batches are made from: a token file, or several as one."""

    @property
    def dtype(self) -> str:
        """The type of the tokens."""

    @property
    def offsets(self) -> NDArray[np.uint64]:
        """Where each document starts among the tokens, and the end of the last one, (documents + 1,)."""

    def __len__(self) -> int: ...

    def document(self, index: int) -> NDArray[Any]:
        """The tokens of one document, from BOS to EOS."""

    def read(self, starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[Any]:
        """The tokens of several stretches end to end; see `TokenFile.read`."""

    def digest(self) -> str:
        """The SHA-256 of all tokens."""


def predictions(tokens: Tokens) -> NDArray[np.int64]:
    """The number of predictions of each document, (documents,): its tokens but the first."""
    return np.diff(tokens.offsets).astype(np.int64) - 1


class JoinedTokens:
    """Token files of one vocabulary, read as one; see `Tokens`. Nothing is copied, and each file opens itself."""

    def __init__(self, files: Sequence[Tokens]) -> None:
        self.files = tuple(files)

    @property
    def dtype(self) -> str:
        """The type of the tokens, which the vocabulary's size decides."""
        return self.files[0].dtype

    @cached_property
    def _firsts(self) -> NDArray[np.int64]:
        """The tokens before each file, (files,)."""
        sizes = [int(file.offsets[-1]) for file in self.files]
        return np.cumsum([0, *sizes[:-1]])

    @cached_property
    def offsets(self) -> NDArray[np.uint64]:
        """Where each document starts among the tokens of all files, and the end of the last one, (documents + 1,)."""
        firsts = self._firsts.astype(np.uint64)
        starts = [file.offsets[:-1] + first for file, first in zip(self.files, firsts, strict=True)]
        return np.concatenate([*starts, self.files[-1].offsets[-1:] + firsts[-1]])

    def __getstate__(self) -> dict[str, Any]:
        return {"files": self.files}

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def document(self, index: int) -> NDArray[Any]:
        """The tokens of one document, from BOS to EOS."""
        begin, end = self.offsets[index : index + 2].astype(np.int64)
        return self.read(np.array([begin]), np.array([end - begin]))

    def read(self, starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[Any]:
        """The tokens of several stretches end to end, none across the end of a file.

        Raises:
            UserError: as `TokenFile.read`.
        """
        owners = np.searchsorted(self._firsts, starts, side="right") - 1
        # Stretches of a row are of one file: few changes of the file in a batch.
        ends = [*np.flatnonzero(np.diff(owners)) + 1, len(starts)]
        parts, begin = [], 0
        for end in ends:
            if end > begin:
                owner = owners[begin]
                parts.append(self.files[owner].read(starts[begin:end] - self._firsts[owner], sizes[begin:end]))
            begin = end
        return np.concatenate(parts) if parts else np.zeros(0, self.files[0].dtype)

    def digest(self) -> str:
        """A digest of the files' digests."""
        return sha256("".join(file.digest() for file in self.files).encode()).hexdigest()
