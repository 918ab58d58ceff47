"""Chunks of documents to the token files of both splits: fold, assign, encode and count, by worker processes."""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lai.data.quality.counting import Counting
from lai.data.quality.part_counts import PartCounts, Wanted, count_chunk
from lai.data.sources.chunks import Chunk, read_in_chunks
from lai.data.sources.reading import Reading
from lai.data.sources.streams import CorpusCounts
from lai.data.tokens.token_file import TokenWriter, encode_documents, token_dtype
from lai.host.progress import progress
from lai.host.workers import Workers
from lai.tokenizer.chat import Document, render, split_key, user_turns
from lai.tokenizer.folding import fold_documents
from lai.tokenizer.vocab import Vocab

HASH_RANGE = 1 << 64
"""Hashes that assign documents to splits are below it."""

_LONG_SHARE = 200  # one document in so many makes a number of turns known to the model


@dataclass(frozen=True)
class SplitStats:
    """The size of a split.

    Attributes:
        bytes: size of the documents' text form, tags included.
        turns: user turns of the longest conversations; 0 without any. At least one in 200 documents with a user turn
            has so many: a few longer ones are too few to learn from.
    """

    documents: int = 0
    tokens: int = 0
    bytes: int = 0
    turns: int = 0


@dataclass(frozen=True)
class CorpusStats:
    """The sizes of both splits. Duplicates count each time."""

    train: SplitStats
    val: SplitStats

    @property
    def documents(self) -> int:
        return self.train.documents + self.val.documents


@dataclass(frozen=True)
class Work:
    """What the work on every chunk needs. `wanted` is the quality report's; None: chunks are not counted."""

    vocab: Vocab
    dtype: str
    folds: bool
    key: bytes
    threshold: int
    wanted: Wanted | None = None


@dataclass(frozen=True)
class _Encoded:
    """The documents of a chunk that belong to one split.

    Tokens end to end, lengths, the bytes of their text, and how many documents have each number of user turns.
    """

    tokens: NDArray[Any]
    lengths: NDArray[np.int64]
    size: int
    turns: Counter[int]


@dataclass(frozen=True)
class _Worked:
    """What has become of a chunk: the documents of each split, validation second, and their extreme hashes."""

    splits: tuple[_Encoded, _Encoded]
    lowest: int
    highest: int
    counted: PartCounts | None


def _work_on(work: Work, chunk: Chunk, in_val: bool | None) -> _Worked:
    """Fold, encode, assign and count the documents of a chunk; `in_val` None: their hashes assign them."""
    counted = None if work.wanted is None else count_chunk(work.wanted, chunk)
    documents = chunk.documents()
    if work.folds:
        documents = fold_documents(documents)
    lowest, highest = HASH_RANGE, -1
    if in_val is not None or not documents:
        chosen = np.full(len(documents), bool(in_val))
    else:
        hashes = _split_hashes(documents, work.key)
        lowest, highest = int(hashes.min()), int(hashes.max())
        chosen = hashes < np.uint64(work.threshold)
    sizes = np.fromiter((len(render(document)) for document in documents), np.int64, len(documents))
    tokens, lengths = encode_documents(documents, work.vocab)
    tokens = tokens.astype(work.dtype)
    of_val = np.repeat(chosen, lengths)
    turns = np.fromiter(map(user_turns, documents), np.int64, len(documents))
    train, val = (
        _Encoded(
            tokens[of_val == value],
            lengths[chosen == value],
            int(sizes[chosen == value].sum()),
            Counter(turns[chosen == value].tolist()),
        )
        for value in (False, True)
    )
    return _Worked((train, val), lowest, highest, counted)


@dataclass(frozen=True)
class Making:
    """How the token files are made: of what text, by which processes, and what is counted on the way."""

    vocab: Vocab
    reading: Reading
    workers: Workers
    counting: Counting | None

    def work(self, key: bytes, threshold: int) -> Work:
        """What the work needs; documents whose keyed hash is below the threshold go to validation."""
        return Work(self.vocab, token_dtype(len(self.vocab)), self.reading.normalize, key, threshold)

    def write(
        self,
        splits: "Splits",
        work: Work,
        files: Sequence[Path],
        in_val: bool | None,
        counting: Counting | None = None,
    ) -> None:
        """Write the documents of files, and count them; shows progress."""
        counts = CorpusCounts() if counting is None else counting.counts
        if counting is not None:
            work = replace(work, wanted=counting.wanted)
        waiting: deque[Chunk] = deque()

        def calls() -> Iterator[tuple[Chunk, bool | None]]:
            for chunk in read_in_chunks(files, counts, self.reading):
                waiting.append(chunk)
                yield chunk, in_val

        with progress("building token files", sum(file.stat().st_size for file in files)) as show:
            for worked in self.workers.map(_work_on, calls(), work):
                chunk = waiting.popleft()
                splits.add(worked)
                if counting is not None and worked.counted is not None:
                    counting.merge(worked.counted, chunk)
                show(counts.bytes_read)


class Splits:
    """Writes both splits' token files; a context manager."""

    def __init__(self, folder: Path, dtype: str) -> None:
        self.lowest, self.highest = HASH_RANGE, -1
        self._turns: list[Counter[int]] = [Counter(), Counter()]  # documents by their user turns
        self._open = ExitStack()
        self._writers = [
            self._open.enter_context(TokenWriter(folder / name, dtype)) for name in ("train.bin", "val.bin")
        ]

    def __enter__(self) -> "Splits":
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.close()

    def add(self, worked: _Worked) -> None:
        """Append the documents of the next chunk."""
        self.lowest, self.highest = min(self.lowest, worked.lowest), max(self.highest, worked.highest)
        for writer, turns, encoded in zip(self._writers, self._turns, worked.splits, strict=True):
            writer.add(encoded.tokens, encoded.lengths, encoded.size)
            turns.update(encoded.turns)

    def stats(self) -> CorpusStats:
        """What was written."""
        return CorpusStats(
            *(
                SplitStats(writer.documents, writer.tokens, writer.bytes, _longest(turns))
                for writer, turns in zip(self._writers, self._turns, strict=True)
            )
        )


def _longest(documents: Counter[int]) -> int:
    """The user turns of the longest conversations, given the number of documents by their user turns."""
    with_turns = sum(count for turns, count in documents.items() if turns)
    longer = 0
    for turns in sorted(documents, reverse=True):
        longer += documents[turns]
        if turns and _LONG_SHARE * longer >= with_turns:
            return turns
    return 0


def _split_hashes(documents: Sequence[Document], key: bytes) -> NDArray[np.uint64]:
    digests = [blake2b(split_key(document), digest_size=8, key=key).digest() for document in documents]
    return np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)
