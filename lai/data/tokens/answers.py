"""Which targets count with `data.loss_on=answers`: what the assistant says, with its end tag, and all of plain texts.

Whether a token counts as a target depends on the tokens of its document before it, and on nothing else:

- No tag stands before it: it counts. The document is a text, whose `<eos>` counts, too.
- It is a tag: only `</assistant>` counts. Who answers always begins behind `<assistant>`, so nobody predicts that tag.
- The last tag before it is `<assistant>`: it counts.
- The last tag before it is another one: it does not count. So `<eos>` behind an answer does not count either:
  generation stops at `</assistant>`, and nothing asks a model what comes behind it. A chat has the next question there.

Rows may begin inside a document. Then the tokens before the row are read, backwards up to the last tag.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lai.data.tokens.joined import Tokens, predictions
from lai.data.tokens.packing import Ints
from lai.host.progress import progress
from lai.tokenizer.chat import CHAT_TAGS
from lai.tokenizer.vocab import Vocab

_BLOCK = 1 << 20  # tokens that are counted together
_WINDOW = 64  # tokens that are read first to find the last tag

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Answers:
    """The ids by which answers are found.

    Args:
        opening, closing: the ids of `<assistant>` and `</assistant>`.
        tags: the ids of all chat tags.
    """

    opening: int
    closing: int
    tags: tuple[int, ...]

    @classmethod
    def of(cls, vocab: Vocab) -> "Answers":
        """Those of a vocabulary.

        Raises:
            UserError: it has no chat tags.
        """
        tags = tuple(map(vocab.tag_id, CHAT_TAGS))
        return cls(vocab.tag_id(b"<assistant>"), vocab.tag_id(b"</assistant>"), tags)

    def count(self, file: Tokens, pieces: Ints, tokens: NDArray[Any]) -> Flags:
        """Whether each token counts as a target; see the module's text.

        Args:
            pieces: (pieces, 3): document, its first prediction, how many, as `PackedRows` gives it.
            tokens: those of the pieces end to end, each of one token more than predictions.

        Returns:
            Flags like `tokens`; that of a piece's first token means nothing, because no target of the piece is there.

        Raises:
            UserError: the file was cut meanwhile.
        """
        sizes = pieces[:, 2] + 1
        firsts = np.repeat(np.cumsum(sizes) - sizes, sizes)
        is_tag = self._are_tags(tokens)
        last_tag = np.maximum.accumulate(np.where(is_tag, np.arange(len(tokens)), -1))
        before = np.repeat(self._before(file, pieces), sizes)
        behind_tag = np.where(last_tag >= firsts, tokens[last_tag] == self.opening, before)
        return np.where(is_tag, tokens == self.closing, behind_tag)

    def _before(self, file: Tokens, pieces: Ints) -> Flags:
        """Whether what stands in a piece before its first tag counts, by the document's tokens before the piece."""
        counts = np.ones(len(pieces), np.bool_)
        starts = file.offsets[pieces[:, 0]].astype(np.int64)
        cut = np.flatnonzero(pieces[:, 1] > 1)  # the others have all tags of their documents so far
        if not len(cut):
            return counts
        first_tokens = file.read(starts[cut] + 1, np.ones(len(cut), np.int64))
        for piece in cut[self._are_tags(first_tokens)].tolist():
            last = self._last_tag(file, starts[piece] + 1, starts[piece] + pieces[piece, 1])
            counts[piece] = last == self.opening
        return counts

    def _last_tag(self, file: Tokens, begin: int, end: int) -> int:
        """The last tag among the file's tokens from `begin`, which is one, to `end`."""
        size = _WINDOW
        while True:
            start = max(begin, end - size)
            tokens = file.read(np.array([start]), np.array([end - start]))
            if len(tags := tokens[self._are_tags(tokens)]):
                return int(tags[-1])
            end, size = start, 4 * size

    def _are_tags(self, tokens: NDArray[Any]) -> Flags:
        return np.isin(tokens, self.tags)


@dataclass(frozen=True)
class TargetCounts:
    """How many targets a token file has, and how many of them count."""

    targets: int
    counting: int

    @property
    def share(self) -> float:
        """The share that counts, 0 to 1."""
        return self.counting / max(1, self.targets)


def count_targets(file: Tokens, answers: Answers) -> TargetCounts:
    """Count the targets of all documents; shows its progress.

    Raises:
        UserError: the file was cut meanwhile.
    """
    lengths = predictions(file)
    parts = -(-lengths // _BLOCK)
    documents = np.repeat(np.arange(len(lengths)), parts)
    firsts = _BLOCK * (np.arange(len(documents)) - np.repeat(np.cumsum(parts) - parts, parts))
    pieces = np.stack((documents, firsts, np.minimum(_BLOCK, lengths[documents] - firsts)), axis=1)
    blocks = np.flatnonzero(np.diff(np.cumsum(pieces[:, 2]) // _BLOCK, prepend=-1))
    targets, counting = int(lengths.sum()), 0
    done = 0
    with progress("counting targets", targets) as show:
        for block in np.split(pieces, blocks[1:]):
            sizes = block[:, 2] + 1
            tokens = file.read(file.offsets[block[:, 0]].astype(np.int64) + block[:, 1], sizes)
            flags = answers.count(file, block, tokens)
            flags[np.cumsum(sizes) - sizes] = False  # inputs only
            counting += int(flags.sum())
            show(done := done + int(block[:, 2].sum()))
    return TargetCounts(targets, counting)
