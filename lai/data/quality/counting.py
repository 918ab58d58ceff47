"""One pass over a text that counts everything the report needs: the parts, merged in their order."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lai.data.quality.columns import column_faults
from lai.data.quality.conversations import IncompleteConversation
from lai.data.quality.duplicates import DuplicateFinder
from lai.data.quality.part_counts import MAX_PLACES, PartCounts, Wanted
from lai.data.quality.tearing import Tearing
from lai.data.quality.text_batches import batch_of, location
from lai.data.quality.wrapping import Wrapping
from lai.data.sources.chunks import Chunk
from lai.data.sources.formats import tsv
from lai.data.sources.reading import DEFAULT_READING, Reading
from lai.data.sources.recognition import recognize
from lai.data.sources.streams import CorpusCounts

SAMPLE_BYTES = 16 << 20
_SAMPLED_BYTES = 1 << 16  # of one document


class Sample:
    """Every n-th document, the whole text at first; n doubles whenever the sample is too large.

    Only the beginning of a very long document is kept, so that it does not displace all others.
    """

    def __init__(self) -> None:
        self.step = 1
        self.documents: list[tuple[int, bytes]] = []
        self.numbers: list[int] = []  # of the lines or rows that they stand in, among those of all files
        self._size = 0

    def add(self, texts: list[bytes], before: int, numbers: NDArray[np.int64]) -> None:
        first = -before % self.step
        chosen = [text[:_SAMPLED_BYTES] for text in texts[first :: self.step]]
        self.documents.extend(zip(range(before + first, before + len(texts), self.step), chosen, strict=True))
        self.numbers += numbers[first :: self.step].tolist()
        self._size += sum(map(len, chosen))
        while self._size > SAMPLE_BYTES:
            self.step *= 2
            kept = [place for place, entry in enumerate(self.documents) if entry[0] % self.step == 0]
            self.documents = [self.documents[place] for place in kept]
            self.numbers = [self.numbers[place] for place in kept]
            self._size = sum(len(text) for _, text in self.documents)


class Lookup(Protocol):
    """Looks for the texts to validate with among the texts to train on, by `hashes_of` their folded forms."""

    def add(self, hashes: NDArray[np.uint64]) -> None: ...


class Counting(PartCounts):
    """Everything that is counted in the one pass: the parts, merged in their order.

    Args:
        folder: an empty folder for what does not fit into memory.
        longest_line: bytes of a document above which it is a finding.
        reading: how rows are read.
        lookup: the texts to validate with, which are looked for.
    """

    def __init__(
        self, folder: Path, longest_line: int, reading: Reading = DEFAULT_READING, lookup: Lookup | None = None
    ) -> None:
        super().__init__(Wanted(longest_line, lookup is not None))
        self._reading = reading
        self._lookup = lookup
        self.counts = CorpusCounts()
        self.sample = Sample()
        self.has_columns = False
        self._duplicates = DuplicateFinder(folder)
        self._files: list[tuple[int, Path]] = []  # each file, and how many lines or rows were before it
        self._numbered = 0  # the lines and rows so far
        self._incomplete: IncompleteConversation | None = None  # the last one, which the next line may continue
        self.torn: list[tuple[Path, int]] = []  # the first files with torn stories, and their numbers of stories
        self.wrapped: list[tuple[Path, int, Wrapping]] = []  # the first wrapped files, with their widths

    def merge(self, part: PartCounts, chunk: Chunk) -> None:
        """Add what was counted of the next chunk."""
        batch = batch_of(chunk)
        if not self._files or self._files[-1][1] != batch.file:
            self._end_file()
            self._files.append((self._numbered, batch.file))
            self._add_columns(batch.file)
        numbers = self._files[-1][0] + part.numbers
        self._numbered = self._files[-1][0] + int(batch.numbers[-1])
        self._duplicates.add(part.hashes, numbers)
        if self._lookup is not None:
            self._lookup.add(part.folded)
        self.sample.add([text for text in batch.texts if text.strip()], self.totals["documents"], numbers)
        for check, places in part.places.items():
            for where in places:
                self._note_place(check, where)
        for found in part.incomplete:
            found.number += self.totals["documents"]
            self._add_incomplete(found)
        self.encoding = self.encoding or part.encoding
        self.markup.update(part.markup)
        self.wrapping.merge(part.wrapping)
        self.tearing.merge(part.tearing)
        self.lengths += part.lengths
        self.longest = max(self.longest, part.longest)
        self.tasks.update(part.tasks)
        self.totals.update(part.totals)

    def _add_columns(self, file: Path) -> None:
        """Faults of the lines of pairs between tabs, of which some are no documents."""
        if recognize(file, self._reading).name != tsv.NAME:
            return
        self.has_columns = True
        for check, number in column_faults(file, self.counts.max_unpacked):
            self.totals[check] += 1
            self._note_place(check, location(file, number))

    def _add_incomplete(self, found: IncompleteConversation | None) -> None:
        """Count the previous one, now that it is known whether this one continues it; None: there is no further one."""
        before, self._incomplete = self._incomplete, found
        if before is None:
            return
        if found is not None and before.is_continued_by(found):
            before.continues = found.continues = True
        check = "turns on several lines" if before.continues else "incomplete conversations"
        self.totals[check] += 1
        self._note_place(check, before.where)

    def _end_file(self) -> None:
        """Judge the wrapping of the file, which is known at its end."""
        if (width := self.wrapping.width()) is not None:
            self.totals["wrapped"] += self.wrapping.lines
            self.totals["wrapped files"] += 1
            if len(self.wrapped) < MAX_PLACES:
                self.wrapped.append((self._files[-1][1], width, self.wrapping))
        elif groups := self.tearing.groups():
            self.totals["torn"] += self.tearing.lines
            if len(self.torn) < MAX_PLACES:
                self.torn.append((self._files[-1][1], groups))
        self.wrapping = Wrapping()
        self.tearing = Tearing()

    def _place(self, number: int) -> str:
        """Where a text is, by the number of its line or row among those of all files."""
        before, file = next(entry for entry in reversed(self._files) if entry[0] < number)
        return location(file, number - before)

    def place_of_document(self, document: int) -> str:
        """Where a document of the sample is, by its number among all."""
        return self._place(self.sample.numbers[document // self.sample.step])

    @property
    def unique(self) -> float:
        """The share of documents that were not there before; 1 for no document."""
        return 1 - self.totals["duplicates"] / max(1, self.totals["documents"])

    def finish(self) -> None:
        """Count what only the end of the text settles: the last file, the last conversation, duplicates."""
        self._end_file()
        self._add_incomplete(None)
        self.totals["duplicates"], again = self._duplicates.duplicates(MAX_PLACES)
        self.places["duplicates"] = list(dict.fromkeys(map(self._place, again)))
