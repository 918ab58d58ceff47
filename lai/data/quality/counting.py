"""One pass over a text that counts everything the report needs.

Python takes no step for a byte and few for a line.
"""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lai.data.quality.columns import column_faults
from lai.data.quality.conversations import IncompleteConversation, task_of, task_of_question
from lai.data.quality.damage import damaged_texts
from lai.data.quality.duplicates import DuplicateFinder
from lai.data.quality.suspects import Suspects
from lai.data.quality.tearing import Tearing
from lai.data.quality.text_batches import TextBatch, location
from lai.data.quality.wrapping import Wrapping
from lai.data.sources.encoding_guess import likely_encoding
from lai.data.sources.formats import tsv
from lai.data.sources.reading import DEFAULT_READING, Reading
from lai.data.sources.recognition import recognize
from lai.data.sources.streams import CorpusCounts
from lai.data.text.pairs import pair_faults, pair_of
from lai.tokenizer.chat import Document, has_stray_tags, parse_line

SAMPLE_BYTES = 16 << 20
MAX_PLACES = 5
"""How many places a finding names."""

_SAMPLED_BYTES = 1 << 16  # of one document
_TRANSLATION = b"<user>Translate to "
_GUESSED_LINES = 200  # whose encoding is guessed
_MAX_LENGTH = 1 << 17  # longer documents are counted together
_CONTROL = bytes(byte for byte in (*range(32), 127) if byte not in b"\t\n\r")
_CONTROL_IN_LINE = re.compile(b"[" + re.escape(_CONTROL) + b"]")
# The commonest example needs no parsing; `parse_line` decides on all others.
_EXAMPLE = re.compile(rb"<user>(\s*[^<\s][^<]*)</user><assistant>\s*[^<\s][^<]*</assistant>")


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


class Counting:
    """Everything that is counted in the one pass."""

    def __init__(self, folder: Path, longest_line: int, reading: Reading = DEFAULT_READING) -> None:
        self._reading = reading
        self.counts = CorpusCounts()
        self.longest_line = longest_line
        self.totals: Counter[str] = Counter()
        self.tasks: Counter[str] = Counter()
        self.lengths = np.zeros(_MAX_LENGTH + 1, np.int64)
        self.longest = 0
        self.sample = Sample()
        self._duplicates = DuplicateFinder(folder)
        self.places: dict[str, list[str]] = {}
        self._files: list[tuple[int, Path]] = []  # each file, and how many lines or rows were before it
        self._numbered = 0  # the lines and rows so far
        self._incomplete: IncompleteConversation | None = None  # the last one, which the next line may continue
        self.markup: Counter[str] = Counter()  # kinds of other programs' markup
        self.encoding: tuple[str, Path] | None = None  # the likely one of the first bytes that are no UTF-8
        self.has_columns = False
        self._last_number = 0  # of the line that the last document stood in
        self._tearing = Tearing()  # of the file that is read
        self.torn: list[tuple[Path, int]] = []  # the first files with torn stories, and their numbers of stories
        self._wrapping = Wrapping()  # of the file that is read
        self.wrapped: list[tuple[Path, int, Wrapping]] = []  # the first wrapped files, with their widths

    def add(self, batch: TextBatch) -> None:
        """Count a batch."""
        texts = batch.texts
        if not self._files or self._files[-1][1] != batch.file:
            self._end_file()
            self._files.append((self._numbered, batch.file))
            self._last_number = 0
            self._add_columns(batch.file)
        numbers = self._files[-1][0] + batch.numbers
        self._numbered = int(numbers[-1])
        sizes = np.fromiter(map(len, texts), np.int64, len(texts))
        kept = np.fromiter(map(bool, map(bytes.strip, texts)), np.bool_, len(texts))
        self.totals["lines"] += len(texts)
        self.totals["empty"] += int((~kept).sum())
        self._note("long documents", batch, np.flatnonzero(sizes > self.longest_line))
        self._add_bytes(batch, kept)
        self._add_markup(batch, kept)
        if not kept.all():
            texts, numbers = [text for text in texts if text.strip()], numbers[kept]
        self._duplicates.add(texts, numbers)
        self.sample.add(texts, self.totals["documents"], numbers)
        self.totals["documents"] += len(texts)
        self.totals["bytes"] += int(sizes[kept].sum())

    def _note(self, check: str, batch: TextBatch, indices: Any) -> None:
        """Count texts with a fault, one of `findings.FAULTS`, and keep the places of the first ones."""
        self.totals[check] += len(indices)
        for index in indices:
            if not self._note_place(check, location(batch.file, int(batch.numbers[index]))):
                break

    def _note_place(self, check: str, where: str) -> bool:
        """Keep the place of a fault if there is room; return whether there was."""
        places = self.places.setdefault(check, [])
        if len(places) == MAX_PLACES:
            return False
        if where not in places:  # both documents of a pair stand in one line
            places.append(where)
        return True

    def _add_bytes(self, batch: TextBatch, kept: NDArray[np.bool_]) -> None:
        """Characters, bytes that are no UTF-8, control characters."""
        joined = b"\n".join(batch.texts)
        try:
            characters = joined.decode()
        except UnicodeDecodeError:
            invalid = [index for index, text in enumerate(batch.texts) if not _is_utf8(text)]
            self._note("invalid UTF-8", batch, invalid)
            if self.encoding is None:
                encoding = likely_encoding(b"\n".join(batch.texts[index] for index in invalid[:_GUESSED_LINES]))
                self.encoding = None if encoding is None else (encoding, batch.file)
            characters = joined.decode("utf-8", "replace")
        if batch.documents is None:
            lines = characters.split("\n")
            lengths = np.fromiter(map(len, lines), np.int64, len(lines))
            self._wrapping.add(lines, lengths)
            self._tearing.add(batch.texts, kept)
        else:
            lengths = _lengths_of(batch.texts)
        self._add_damage(batch, joined, characters, lengths)
        lengths = lengths[kept]
        self.totals["characters"] += int(lengths.sum())
        self.longest = max(self.longest, int(lengths.max(initial=0)))
        self.lengths += np.bincount(np.minimum(lengths, _MAX_LENGTH), minlength=_MAX_LENGTH + 1)
        if len(joined.translate(None, _CONTROL)) != len(joined):
            found = [index for index, text in enumerate(batch.texts) if _CONTROL_IN_LINE.search(text)]
            self._note("control characters", batch, found)

    def _add_damage(self, batch: TextBatch, joined: bytes, characters: str, lengths: NDArray[np.int64]) -> None:
        """Damage to the characters, and faults of pairs; of documents of one line, the first is looked at."""
        first = np.flatnonzero(np.diff(batch.numbers, prepend=self._last_number))
        self._last_number = int(batch.numbers[-1])
        self.totals["filled lines"] += int((lengths[first] > 0).sum())
        for check, indices in damaged_texts(batch.texts, joined, Suspects(characters, lengths), self.markup):
            if batch.documents is not None and indices:
                indices = np.intersect1d(indices, first).tolist()
            self._note(check, batch, indices)
        pairs = []
        for index in first.tolist() if _TRANSLATION in joined else ():
            text = batch.texts[index]
            if text.startswith(_TRANSLATION):
                document = parse_line(text) if batch.documents is None else batch.documents[index]
                if (pair := pair_of(document)) is not None:
                    pairs.append((index, *pair))
        self.totals["pairs"] += len(pairs)
        if pairs:
            indices_of, english, hungarian = zip(*pairs, strict=True)
            faults = pair_faults(english, hungarian)
            for check, found in (
                ("swapped sides", faults.swapped),
                ("sides in one language", faults.one_language),
                ("equal sides", faults.equal),
                ("sides out of proportion", faults.out_of_proportion),
                ("quoted fields", faults.quoted),
            ):
                self._note(check, batch, [indices_of[place] for place in np.flatnonzero(found)])

    def _add_columns(self, file: Path) -> None:
        """Faults of the lines of pairs between tabs, of which some are no documents."""
        if recognize(file, self._reading).name != tsv.NAME:
            return
        self.has_columns = True
        for check, number in column_faults(file):
            self.totals[check] += 1
            self._note_place(check, location(file, number))

    def _add_markup(self, batch: TextBatch, kept: NDArray[np.bool_]) -> None:
        """Count tasks, incomplete conversations and stray tags.

        Stray tags are a mistake in a text file, and literal text in other files.
        """
        stray: list[int] = []
        empty: list[int] = []
        incomplete: list[tuple[int, Document]] = []
        tagged: Iterable[int] = range(len(batch.texts))
        if batch.documents is None:
            tagged = [index for index, text in enumerate(batch.texts) if b"<" in text]
            self.tasks["plain"] += int(kept.sum()) - len(tagged)
        for index in tagged:
            text = batch.texts[index]
            is_example = batch.documents is None or len(batch.documents[index]) == 2
            if is_example and (example := _EXAMPLE.fullmatch(text)):
                self.tasks[task_of_question(example[1])] += 1
                continue
            document = parse_line(text) if batch.documents is None else batch.documents[index]
            task = task_of(document)
            self.tasks[task] += 1
            if task == "incomplete":
                incomplete.append((index, document))
            if document[0].role != "text" and not all(turn.content.strip() for turn in document):
                empty.append(index)
            if b"<" in text and has_stray_tags(document):
                stray.append(index)
        self._note("malformed markup" if batch.documents is None else "tags as letters", batch, stray)
        self._note("empty turns", batch, empty)
        if incomplete:
            numbers = self.totals["documents"] + np.cumsum(kept)
            for index, document in incomplete:
                where = location(batch.file, int(batch.numbers[index]))
                self._add_incomplete(IncompleteConversation(batch.file, int(numbers[index]), where, document))

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
        if (width := self._wrapping.width()) is not None:
            self.totals["wrapped"] += self._wrapping.lines
            self.totals["wrapped files"] += 1
            if len(self.wrapped) < MAX_PLACES:
                self.wrapped.append((self._files[-1][1], width, self._wrapping))
        elif groups := self._tearing.groups():
            self.totals["torn"] += self._tearing.lines
            if len(self.torn) < MAX_PLACES:
                self.torn.append((self._files[-1][1], groups))
        self._wrapping = Wrapping()
        self._tearing = Tearing()

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


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _lengths_of(texts: list[bytes]) -> NDArray[np.int64]:
    return np.fromiter((len(text.decode("utf-8", "replace")) for text in texts), np.int64, len(texts))
