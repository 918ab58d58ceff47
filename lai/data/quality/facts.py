"""The facts of the report: sizes, lengths, tasks, languages, and what a vocabulary makes of the text.

Languages and tokens are of the sample, which is the whole text up to `lai.data.quality.counting.SAMPLE_BYTES`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lai.data.quality.counting import Counting
from lai.data.sources.kinds import printable
from lai.data.text.language import identify, identify_all
from lai.tokenizer.bpe import FIRST_BYTE
from lai.tokenizer.chat import CHAT_TAGS, TO_ENGLISH, TO_HUNGARIAN, parse_line
from lai.tokenizer.vocab import N_BASE, TAG_PREFIXES, Vocab

_MARKUP = frozenset((*CHAT_TAGS, *TAG_PREFIXES))  # tokens that no text is encoded to
_PERCENTILES = (1, 5, 25, 50, 75, 95, 99)


def gather_facts(
    counting: Counting, files: Sequence[Path], vocab: Vocab | None, languages: "Languages"
) -> dict[str, Any]:
    """All facts of a text that is counted to its end, in the order of the report."""
    sizes = languages.sizes
    documents = counting.totals["documents"]
    facts: dict[str, Any] = {
        "files": list(map(printable, files)),
        "lines": counting.totals["lines"],
        "empty": counting.totals["empty"] + counting.counts.empty,
        "skipped": counting.counts.skipped,
        "documents": documents,
        "duplicates": counting.totals["duplicates"],
        "unique": counting.unique,
        "bytes": counting.totals["bytes"],
        "characters": counting.totals["characters"],
        "longest": counting.longest,
        "percentiles": dict(zip(map(str, _PERCENTILES), _percentiles(counting.lengths), strict=True)),
        "tasks": {name: count / max(1, documents) for name, count in counting.tasks.most_common() if count},
        "sampled": 1 / counting.sample.step,
        "languages": {name: size / max(1, sizes.total()) for name, size in sizes.most_common()},
    }
    if vocab is not None:
        facts["tokens"] = _tokens(counting.sample.documents, vocab)
    return facts


def _percentiles(lengths: NDArray[np.int64]) -> list[int]:
    """The number of characters that so many percent of the documents do not exceed."""
    below = np.cumsum(lengths)
    if not below[-1]:
        return [0 for _ in _PERCENTILES]
    return [int(np.searchsorted(below, share / 100 * below[-1])) for share in _PERCENTILES]


def _contents(text: bytes) -> Iterator[bytes]:
    for turn in parse_line(text):
        yield turn.content


def _without_request(content: bytes) -> bytes:
    """A content without its request for a translation, which is in English whatever the text's language is."""
    return content.removeprefix(TO_ENGLISH).removeprefix(TO_HUNGARIAN)


@dataclass(frozen=True)
class Languages:
    """The bytes of each language in the sample, and the numbers of the documents in third languages."""

    sizes: Counter[str]
    foreign: list[int]


def languages_of_sample(sample: list[tuple[int, bytes]]) -> Languages:
    """The languages of what is said in the sample."""
    said = [(number, _without_request(content)) for number, text in sample for content in _contents(text)]
    sizes: Counter[str] = Counter()
    foreign: list[int] = []
    for (number, content), language in zip(said, identify_all([content for _, content in said]), strict=True):
        sizes[language] += len(content)
        if language not in ("hu", "en", "other"):
            foreign.append(number)
    return Languages(sizes, foreign)


def _tokens(sample: list[tuple[int, bytes]], vocab: Vocab) -> dict[str, Any]:
    """What a vocabulary makes of the sample."""
    contents = [content for _, text in sample for content in _contents(text)]
    ids = vocab.encode_batch(contents)
    lengths = np.array([len(text_ids) for text_ids in ids], np.int64)
    used = np.bincount(np.concatenate(ids) if ids else np.empty(0, np.int64), minlength=len(vocab))
    words: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    for content, length in zip(contents, lengths.tolist(), strict=True):
        language = identify(_without_request(content))
        words[language] += len(content.split())
        tokens[language] += length
    count = max(1, int(lengths.sum()))
    return {
        "vocabulary": len(vocab),
        "tokens": int(lengths.sum()),
        "bytes_per_token": sum(map(len, contents)) / count,
        "tokens_per_word": {name: tokens[name] / words[name] for name in ("hu", "en") if words[name]},
        "byte_fallback": int(used[FIRST_BYTE:N_BASE].sum()) / count,
        "never_used": int((used[N_BASE:] == 0).sum()) - sum(token in _MARKUP for token in vocab.tokens[N_BASE:]),
    }
