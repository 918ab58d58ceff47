"""What is counted of one chunk of a text, by whichever process.

Python takes no step for a byte and few for a line.
"""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lai.data.quality.conversations import IncompleteConversation, task_of, task_of_question
from lai.data.quality.damage import damaged_texts
from lai.data.quality.duplicates import hashes_of
from lai.data.quality.suspects import Suspects
from lai.data.quality.tearing import Tearing
from lai.data.quality.text_batches import TextBatch, batch_of, location
from lai.data.quality.wrapping import Wrapping
from lai.data.sources.chunks import Chunk
from lai.data.sources.encoding_guess import likely_encoding
from lai.data.text.pairs import pair_faults, pair_of
from lai.tokenizer.bpe import is_utf8
from lai.tokenizer.chat import Document, Turn, has_stray_tags, parse_line
from lai.tokenizer.folding import fold_texts

MAX_PLACES = 5
"""How many places a finding names."""

_TRANSLATION = b"<user>Translate to "
_GUESSED_LINES = 200  # whose encoding is guessed
_MAX_LENGTH = 1 << 17  # longer documents are counted together
_CONTROL = bytes(byte for byte in (*range(32), 127) if byte not in b"\t\n\r")
_CONTROL_IN_LINE = re.compile(b"[" + re.escape(_CONTROL) + b"]")
# The commonest example needs no parsing; `parse_line` decides on all others.
_EXAMPLE = re.compile(rb"<user>(\s*[^<\s][^<]*)</user><assistant>\s*[^<\s][^<]*</assistant>")


class Wanted(NamedTuple):
    """What is counted of each chunk: `longest_line` in bytes of a document; whether validation text is looked for."""

    longest_line: int
    validates: bool = False


class PartCounts:
    """What is counted of one chunk, by whichever process; `Counting` puts the parts together."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.totals: Counter[str] = Counter()
        self.tasks: Counter[str] = Counter()
        self.lengths = np.zeros(_MAX_LENGTH + 1, np.int64)
        self.longest = 0
        self.places: dict[str, list[str]] = {}
        self.hashes = np.empty(0, np.uint64)  # of the documents, and the numbers of the lines or rows they stand in
        self.numbers = np.empty(0, np.int64)
        self.folded = np.empty(0, np.uint64)  # hashes of the folded documents, where validation text is looked for
        self.incomplete: list[IncompleteConversation] = []
        self.markup: Counter[str] = Counter()  # kinds of other programs' markup
        self.encoding: tuple[str, Path] | None = None  # the likely one of the first bytes that are no UTF-8
        self.wrapping = Wrapping()
        self.tearing = Tearing()

    def __getstate__(self) -> dict[str, Any]:
        lengths = np.flatnonzero(self.lengths)
        return self.__dict__ | {"lengths": (lengths, self.lengths[lengths])}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.lengths = np.zeros(_MAX_LENGTH + 1, np.int64)
        self.lengths[state["lengths"][0]] = state["lengths"][1]

    def add(self, batch: TextBatch) -> None:
        """Count a batch."""
        texts, numbers = batch.texts, batch.numbers
        sizes = np.fromiter(map(len, texts), np.int64, len(texts))
        kept = np.fromiter(map(bool, map(bytes.strip, texts)), np.bool_, len(texts))
        self.totals["lines"] += len(texts)
        self.totals["empty"] += int((~kept).sum())
        self._note("long documents", batch, np.flatnonzero(sizes > self.wanted.longest_line))
        self._add_bytes(batch, kept)
        self._add_markup(batch, kept)
        if not kept.all():
            texts, numbers = [text for text in texts if text.strip()], numbers[kept]
        self.hashes, self.numbers = hashes_of(texts), numbers
        if self.wanted.validates:
            self.folded = hashes_of(fold_texts(texts))
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
            invalid = [index for index, text in enumerate(batch.texts) if not is_utf8(text)]
            self._note("invalid UTF-8", batch, invalid)
            if self.encoding is None:
                encoding = likely_encoding(b"\n".join(batch.texts[index] for index in invalid[:_GUESSED_LINES]))
                self.encoding = None if encoding is None else (encoding, batch.file)
            characters = joined.decode("utf-8", "replace")
        if batch.documents is None:
            lines = characters.split("\n")
            lengths = np.fromiter(map(len, lines), np.int64, len(lines))
            self.wrapping.add(lines, lengths)
            self.tearing.add(batch.texts, kept)
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
        first = np.flatnonzero(np.diff(batch.numbers, prepend=batch.before))
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
                ends = tuple(Turn(turn.role, b"") for turn in (document[0], document[-1]))
                self.incomplete.append(IncompleteConversation(batch.file, int(numbers[index]), where, ends))


def count_chunk(wanted: Wanted, chunk: Chunk) -> PartCounts:
    """Everything that is counted of a chunk."""
    part = PartCounts(wanted)
    part.add(batch_of(chunk))
    return part


def _lengths_of(texts: list[bytes]) -> NDArray[np.int64]:
    return np.fromiter((len(text.decode("utf-8", "replace")) for text in texts), np.int64, len(texts))
