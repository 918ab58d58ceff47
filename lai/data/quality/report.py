"""The quality report: what a text holds, what is wrong with it, and where.

files → batches of lines → one pass of counting, an even sample kept → facts, and findings with verdicts
"""

import json
import tempfile
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lai.data.quality.across import Validation, near_duplicates, third_languages
from lai.data.quality.counting import Counting
from lai.data.quality.facts import facts_of_sample, gather_facts
from lai.data.quality.findings import MAX_LINE_BYTES, Finding, judge
from lai.data.quality.part_counts import count_chunk
from lai.data.sources.chunks import Chunk, read_in_chunks
from lai.data.sources.reading import DEFAULT_READING, Reading
from lai.data.sources.recognition import recognize
from lai.host.errors import UserError
from lai.host.files import FULL
from lai.host.progress import progress
from lai.host.workers import IN_PROCESS, Workers
from lai.tokenizer.vocab import Vocab


@dataclass(frozen=True)
class Quality:
    """The report on a text."""

    facts: dict[str, Any]
    findings: list[Finding]
    lengths: list[int]
    """How many documents have each number of characters, up to the longest (or the last entry: that and more)."""

    def to_json(self) -> bytes:
        """The report as a JSON object with the keys good, facts, findings and lengths."""
        return json.dumps({"good": self.good, **asdict(self)}, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Quality":
        """The report that `to_json` wrote."""
        saved = json.loads(data)
        return cls(saved["facts"], [Finding(**finding) for finding in saved["findings"]], saved["lengths"])

    @property
    def good(self) -> bool:
        """Whether no finding is an error."""
        return all(finding.verdict != "error" for finding in self.findings)


def examine(
    files: Sequence[Path],
    vocab: Vocab | None = None,
    longest_line: int = MAX_LINE_BYTES,
    left_out: Mapping[str, int] | None = None,
    reading: Reading = DEFAULT_READING,
    val_files: Sequence[Path] = (),
    workers: Workers = IN_PROCESS,
) -> Quality:
    """Read a text once and report on it, in memory that does not grow with it.

    Args:
        files: as `find_files` gives them.
        vocab: for what depends on tokens.
        longest_line: bytes of a document above which it is a finding.
        left_out: as `files_left_out` gives it: what else there is, and is not read.
        reading: how rows are read.
        val_files: files to validate with, which are looked for in the text.

    Raises:
        UserError: a file cannot be read as what its ending says.
    """
    with CountingPass(reading, val_files, longest_line) as counted:
        counted.read(files, workers)
        return counted.report(files, vocab, left_out, workers)


class CountingPass:
    """A pass over a text that counts it for the report; a context manager, whose end removes what it keeps on the disk.

    Args:
        reading, val_files, longest_line: as of `examine`.
    """

    def __init__(self, reading: Reading, val_files: Sequence[Path] = (), longest_line: int = MAX_LINE_BYTES) -> None:
        self._reading = reading
        self._longest_line = longest_line
        self._validation = Validation(val_files, reading) if val_files else None
        self._open = ExitStack()

    def __enter__(self) -> "CountingPass":
        folder = self._open.enter_context(_temporary_folder())
        self.counting = Counting(Path(folder), self._longest_line, self._reading, self._validation)
        return self

    def __exit__(self, *error: Any) -> bool | None:
        return self._open.__exit__(*error)

    def read(self, files: Sequence[Path], workers: Workers = IN_PROCESS) -> None:
        """Read and count files; shows progress.

        Raises:
            UserError: as `examine`.
        """
        counting = self.counting
        waiting: deque[Chunk] = deque()

        def calls() -> Iterator[tuple[Chunk]]:
            for chunk in read_in_chunks(files, counting.counts, self._reading):
                waiting.append(chunk)
                yield (chunk,)

        with progress("checking the text", sum(file.stat().st_size for file in files)) as show:
            for part in workers.map(count_chunk, calls(), counting.wanted):
                counting.merge(part, waiting.popleft())
                show(counting.counts.bytes_read)

    def report(
        self,
        files: Sequence[Path],
        vocab: Vocab | None,
        left_out: Mapping[str, int] | None,
        workers: Workers = IN_PROCESS,
    ) -> Quality:
        """The report on the text, all of which is counted; arguments as of `examine`."""
        counting = self.counting
        counting.finish()
        sample = facts_of_sample(counting, vocab, workers)
        facts = gather_facts(counting, sample, files, vocab)
        facts["formats"] = dict(Counter(recognize(file, self._reading).name for file in files))
        across = [
            third_languages(sample.bytes_of_languages(), map(counting.place_of_document, sample.foreign())),
            near_duplicates(counting.sample, counting.place_of_document),
        ]
        if self._validation is not None:
            across.append(self._validation.finding(counting.sample))
        stop = int(np.flatnonzero(counting.lengths)[-1]) + 1 if facts["documents"] else 0
        return Quality(facts, judge(counting, vocab, left_out or {}, across), counting.lengths[:stop].tolist())


@contextmanager
def _temporary_folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            yield folder
        except OSError as error:
            if error.errno not in FULL or error.filename is not None:
                raise
            raise UserError(
                f"{tempfile.gettempdir()}, the folder for temporary files, is full; give another one: TMPDIR=FOLDER"
            ) from None


def shares(values: Mapping[str, float]) -> str:
    """Shares in percent, as a person reads them."""
    return ", ".join(f"{name} {share:.1%}" for name, share in values.items()) or "none"


def listed_formats(facts: Mapping[str, Any]) -> str:
    """The formats of the files, with their numbers if there is more than one file, as a person reads them."""
    formats: Mapping[str, int] = facts["formats"]
    if sum(formats.values()) == 1:
        return next(iter(formats))
    return ", ".join(f"{name} ({count:,} file{'s' if count > 1 else ''})" for name, count in formats.items()) or "none"
