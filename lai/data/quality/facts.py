"""The facts of the report: sizes, lengths, tasks, languages, and what a vocabulary makes of the text.

Languages and tokens are of the sample, which is the whole text up to `lai.data.quality.counting.SAMPLE_BYTES`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lai.data.quality.counting import Counting
from lai.data.sources.kinds import printable
from lai.data.text.language import identify, name_by_lingua, unsure_texts
from lai.host.workers import IN_PROCESS, Workers
from lai.tokenizer.bpe import FIRST_BYTE
from lai.tokenizer.chat import CHAT_TAGS, TO_ENGLISH, TO_HUNGARIAN, parse_line
from lai.tokenizer.vocab import N_BASE, TAG_PREFIXES, Vocab

_MARKUP = frozenset((*CHAT_TAGS, *TAG_PREFIXES))  # tokens that no text is encoded to
_PART_BYTES = 1 << 20
_PERCENTILES = (1, 5, 25, 50, 75, 95, 99)


def gather_facts(
    counting: Counting, found: "SampleFacts", files: Sequence[Path], vocab: Vocab | None
) -> dict[str, Any]:
    """All facts of a text that is counted to its end, in the order of the report; `found` is of its sample."""
    documents = counting.totals["documents"]
    sizes = found.bytes_of_languages()
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
        facts["tokens"] = _tokens(found, vocab)
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


@dataclass
class SampleFacts:
    """What is counted of the sample or a part of it.

    `numbers`, `languages` and `sizes` have an entry for each content: the number of its document, its language, and
    its bytes without a request for a translation.
    """

    numbers: list[int] = field(default_factory=list)
    languages: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    unsure: list[tuple[int, str]] = field(default_factory=list)
    """Contents whose language is not sure: their indices and beginnings."""
    words: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    """Words and tokens by language."""
    used: NDArray[np.int64] | int = 0
    """How often each token is used, (vocab_size,)."""
    bytes: int = 0

    def merge(self, following: "SampleFacts") -> None:
        """Add the part that follows."""
        before = len(self.languages)
        self.numbers += following.numbers
        self.languages += following.languages
        self.sizes += following.sizes
        self.unsure += [(before + index, said) for index, said in following.unsure]
        self.words.update(following.words)
        self.tokens.update(following.tokens)
        self.used = self.used + following.used
        self.bytes += following.bytes

    def bytes_of_languages(self) -> Counter[str]:
        """The bytes of each language."""
        found: Counter[str] = Counter()
        for language, size in zip(self.languages, self.sizes, strict=True):
            found[language] += size
        return found

    def foreign(self) -> Iterator[int]:
        """The numbers of the documents in third languages."""
        for number, language in zip(self.numbers, self.languages, strict=True):
            if language not in ("hu", "en", "other"):
                yield number


_Part = list[tuple[int, bytes]]


def facts_of_sample(counting: Counting, vocab: Vocab | None, workers: Workers = IN_PROCESS) -> SampleFacts:
    """Count the sample, by worker processes."""
    found = SampleFacts()
    for part in workers.map(count_sample, _parts(counting.sample.documents), vocab):
        found.merge(part)
    name_by_lingua(found.languages, found.unsure)
    return found


def _parts(sample: _Part) -> Iterator[tuple[_Part]]:
    """The sample in parts that are quick to count."""
    part: _Part = []
    size = 0
    for entry in sample:
        part.append(entry)
        size += len(entry[1])
        if size >= _PART_BYTES:
            yield (part,)
            part, size = [], 0
    if part:
        yield (part,)


def count_sample(vocab: Vocab | None, part: _Part) -> SampleFacts:
    """Count a part of the sample: numbers of documents, and their texts."""
    found = SampleFacts()
    contents = [(number, content) for number, text in part for content in _contents(text)]
    said = [_without_request(content) for _, content in contents]
    found.numbers = [number for number, _ in contents]
    found.languages = list(map(identify, said))
    found.sizes = list(map(len, said))
    found.unsure = unsure_texts(said, found.languages)
    found.bytes = sum(len(content) for _, content in contents)
    if vocab is not None:
        ids = vocab.encode_batch([content for _, content in contents])
        found.used = np.bincount(np.concatenate(ids), minlength=len(vocab)) if ids else 0
        for (_, content), language, own in zip(contents, found.languages, ids, strict=True):
            found.words[language] += len(content.split())
            found.tokens[language] += len(own)
    return found


def _tokens(found: SampleFacts, vocab: Vocab) -> dict[str, Any]:
    """What a vocabulary makes of the sample."""
    used = found.used + np.zeros(len(vocab), np.int64)
    total = int(used.sum())
    count = max(1, total)
    return {
        "vocabulary": len(vocab),
        "tokens": total,
        "bytes_per_token": found.bytes / count,
        "tokens_per_word": {name: found.tokens[name] / found.words[name] for name in ("hu", "en") if found.words[name]},
        "byte_fallback": int(used[FIRST_BYTE:N_BASE].sum()) / count,
        "never_used": int((used[N_BASE:] == 0).sum()) - sum(token in _MARKUP for token in vocab.tokens[N_BASE:]),
    }
