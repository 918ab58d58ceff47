"""How good a text is for training: what is in it, what is wrong with it, and where.

    files → batches of lines → one pass of counting, an even sample kept → facts, and findings with verdicts

Counting takes no step of Python's for a byte and few for a line. Languages and tokens are of the sample, which is the
whole text up to `SAMPLE_BYTES`.
"""

import json
import re
import shlex
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lai.data.quality.duplicates import DuplicateFinder
from lai.data.quality.language import identify
from lai.data.quality.text_batches import TextBatch, location, printable, text_batches
from lai.data.quality.wrapping import Wrapping
from lai.data.sources.files import CorpusCounts, kind_of, listed
from lai.host.errors import UserError
from lai.host.files import FULL
from lai.host.progress import progress
from lai.tokenizer.bpe import FIRST_BYTE
from lai.tokenizer.chat import CHAT_TAGS, TO_ENGLISH, TO_HUNGARIAN, Document, has_stray_tags, is_whole, parse_line
from lai.tokenizer.vocab import N_BASE, TAG_PREFIXES, Vocab

Verdict = Literal["ok", "warning", "error"]

MIN_DOCUMENTS = 20_000
MIN_UNIQUE = 0.60
VOCABULARY_SIZES = (8_000, 32_000)
MAX_LINE_BYTES = 100_000
SAMPLE_BYTES = 16 << 20
OFFENDERS = 5
"""How many places a finding names."""

_SAMPLED_BYTES = 1 << 16  # of one document
_LENGTHS = 1 << 17  # longer documents are counted together
_CONTROL = bytes(byte for byte in (*range(32), 127) if byte not in b"\t\n\r")
_CONTROL_IN_LINE = re.compile(b"[" + re.escape(_CONTROL) + b"]")
_MARKUP = frozenset((*CHAT_TAGS, *TAG_PREFIXES))  # which no text is encoded to
# The commonest example, which needs no parsing; whatever else there is, `parse_line` decides.
_EXAMPLE = re.compile(rb"<user>([^<]*)</user><assistant>[^<]*</assistant>")
_BLANK_LINES = 0.01  # of the lines with text
_SHORT = 15  # characters less than the width: no word would have been as long
_PERCENTILES = (1, 5, 25, 50, 75, 95, 99)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what was found, what is expected, the first places where it is not so, what to do.

    `remedy` is empty where nothing is to be done, or nothing that a line can say.
    """

    check: str
    verdict: Verdict
    found: str
    expected: str
    places: list[str] = field(default_factory=list)
    remedy: str = ""


@dataclass(frozen=True)
class _Fault:
    """What single documents may have: the finding that it becomes, and what to do about it."""

    check: str
    verdict: Verdict
    expected: str
    remedy: str = ""


# Lines begin a document unless they carry a conversation on.
_JOIN_TURNS = (
    "put a conversation on one line: awk '/[^ \\t\\r]/ {c = /^<assistant>/ || (s && /^<user>/); "
    'printf "%s%s", c ? "" : "\\n", $0; s = /^<system>/} END {print ""}\' FILE > NEW'
)
_ORDER = "an optional system turn, then user and assistant in turn"
_FAULTS = (
    _Fault("invalid UTF-8", "error", "no document"),
    _Fault("malformed markup", "error", "no document with tags that are not whole turns"),
    _Fault("turns on several lines", "error", "a whole conversation a line", _JOIN_TURNS),
    _Fault(
        "incomplete conversations",
        "error",
        f"none: {_ORDER}",
        "give each question its answer, or leave the document out",
    ),
    _Fault("tags as letters", "warning", "no document: they are read as what somebody wrote"),
    _Fault("control characters", "warning", "no document"),
    _Fault("long documents", "warning", "none of more than {longest_line:,} bytes"),
)


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
) -> Quality:
    """Read a text once and report on it, in memory that does not grow with it.

    Args:
        files: as `find_files` gives them.
        vocab: for what depends on tokens.
        longest_line: bytes of a document above which it is a finding.
        left_out: as `files_left_out` gives it: what else there is, and is not read.

    Raises:
        UserError: a file cannot be read as what its ending says.
    """
    with _temporary_folder() as folder:
        counting = _Counting(Path(folder), longest_line)
        with progress("checking the text", sum(file.stat().st_size for file in files)) as show:
            for batch in text_batches(files, counting.counts):
                counting.add(batch)
                show(counting.counts.bytes_read)
        return counting.report(files, vocab, left_out or {})


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


def task_of(document: Document) -> str:
    """What a document trains: plain text, a translation, a question, another instruction, or a conversation.

    A conversation that is not whole is "incomplete".
    """
    if document[0].role == "text":
        return "plain"
    if not is_whole(document):
        return "incomplete"
    questions = [turn.content for turn in document if turn.role == "user"]
    return "conversation" if len(questions) != 1 else _task_of_one(questions[0])


def _task_of_one(question: bytes) -> str:
    if question.startswith((TO_ENGLISH, TO_HUNGARIAN)):
        return "translation"
    return "question" if question.rstrip().endswith(b"?") else "instruction"


class _Sample:
    """Every n-th document, n doubled whenever there are too many: the whole text, or an even sample of it.

    Of a very long document only the beginning is kept, so that it does not push out all others.
    """

    def __init__(self) -> None:
        self.step = 1
        self.documents: list[tuple[int, bytes]] = []
        self._size = 0

    def add(self, texts: list[bytes], before: int) -> None:
        for index in range(-before % self.step, len(texts), self.step):
            text = texts[index][:_SAMPLED_BYTES]
            self.documents.append((before + index, text))
            self._size += len(text)
        while self._size > SAMPLE_BYTES:
            self.step *= 2
            self.documents = [entry for entry in self.documents if entry[0] % self.step == 0]
            self._size = sum(len(text) for _, text in self.documents)


_NEXT_ROLE = {"system": "user", "user": "assistant"}


@dataclass
class _Incomplete:
    """A conversation that is not whole."""

    file: Path
    number: int  # of the document, among those of all files
    where: str
    document: Document
    goes_on: bool = False  # on the next line, or from the one before

    def is_before(self, other: "_Incomplete") -> bool:
        """Whether the other one is the next line of the same file and says what should come next."""
        beside = self.file == other.file and kind_of(self.file) == ".txt" and self.number + 1 == other.number
        return beside and _NEXT_ROLE.get(self.document[-1].role) == other.document[0].role


class _Counting:
    """Everything that is counted in the one pass."""

    def __init__(self, folder: Path, longest_line: int) -> None:
        self.counts = CorpusCounts()
        self._longest_line = longest_line
        self._totals: Counter[str] = Counter()
        self._tasks: Counter[str] = Counter()
        self._lengths = np.zeros(_LENGTHS + 1, np.int64)
        self._longest = 0
        self._sample = _Sample()
        self._duplicates = DuplicateFinder(folder)
        self._places: dict[str, list[str]] = {}
        self._files: list[tuple[int, Path]] = []  # each file, and how many lines or rows were before it
        self._numbered = 0  # the lines and rows so far
        self._incomplete: _Incomplete | None = None  # the last one, which the next line may carry on
        self._wrapping = Wrapping()  # of the file that is read
        self._wrapped: list[tuple[Path, int, Wrapping]] = []  # the first files that are, and at which width

    def add(self, batch: TextBatch) -> None:
        """Count a batch."""
        texts = batch.texts
        if not self._files or self._files[-1][1] != batch.file:
            self._end_file()
            self._files.append((self._numbered, batch.file))
        numbers = self._files[-1][0] + batch.numbers
        self._numbered = int(numbers[-1])
        sizes = np.fromiter(map(len, texts), np.int64, len(texts))
        kept = np.fromiter((bool(text.strip()) for text in texts), np.bool_, len(texts))
        self._totals["lines"] += len(texts)
        self._totals["empty"] += int((~kept).sum())
        self._note("long documents", batch, np.flatnonzero(sizes > self._longest_line))
        self._add_bytes(batch, kept)
        self._add_markup(batch, kept)
        if not kept.all():
            texts, numbers = [text for text in texts if text.strip()], numbers[kept]
        self._duplicates.add(texts, numbers)
        self._sample.add(texts, self._totals["documents"])
        self._totals["documents"] += len(texts)
        self._totals["bytes"] += int(sizes[kept].sum())

    def _note(self, check: str, batch: TextBatch, indices: Any) -> None:
        """Count texts with a fault, one of `_FAULTS`, and keep the places of the first ones."""
        self._totals[check] += len(indices)
        for index in indices:
            if not self._note_place(check, location(batch.file, int(batch.numbers[index]))):
                break

    def _note_place(self, check: str, where: str) -> bool:
        """Whether there is room for the place of a fault; it is kept then."""
        places = self._places.setdefault(check, [])
        if len(places) == OFFENDERS:
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
            self._note("invalid UTF-8", batch, [index for index, text in enumerate(batch.texts) if not _is_utf8(text)])
            characters = joined.decode("utf-8", "replace")
        if batch.documents is None:
            lines = characters.split("\n")
            lengths = np.fromiter(map(len, lines), np.int64, len(lines))
            self._wrapping.add(lines, lengths)
        else:
            lengths = _lengths(batch.texts)
        lengths = lengths[kept]
        self._totals["characters"] += int(lengths.sum())
        self._longest = max(self._longest, int(lengths.max(initial=0)))
        self._lengths += np.bincount(np.minimum(lengths, _LENGTHS), minlength=_LENGTHS + 1)
        if len(joined.translate(None, _CONTROL)) != len(joined):
            found = [index for index, text in enumerate(batch.texts) if _CONTROL_IN_LINE.search(text)]
            self._note("control characters", batch, found)

    def _add_markup(self, batch: TextBatch, kept: NDArray[np.bool_]) -> None:
        """Tasks, conversations that are not whole, and tags that are no markup.

        Those are of lines a mistake, else letters that somebody wrote.
        """
        stray: list[int] = []
        incomplete: list[tuple[int, Document]] = []
        for index, text in enumerate(batch.texts):
            if batch.documents is None and b"<" not in text:
                self._tasks["plain"] += bool(text.strip())
                continue
            if batch.documents is None and (example := _EXAMPLE.fullmatch(text)):
                self._tasks[_task_of_one(example[1])] += 1
                continue
            document = parse_line(text) if batch.documents is None else batch.documents[index]
            task = task_of(document)
            self._tasks[task] += 1
            if task == "incomplete":
                incomplete.append((index, document))
            if b"<" in text and has_stray_tags(document):
                stray.append(index)
        self._note("malformed markup" if batch.documents is None else "tags as letters", batch, stray)
        if incomplete:
            numbers = self._totals["documents"] + np.cumsum(kept)
            for index, document in incomplete:
                where = location(batch.file, int(batch.numbers[index]))
                self._add_incomplete(_Incomplete(batch.file, int(numbers[index]), where, document))

    def _add_incomplete(self, found: _Incomplete | None) -> None:
        """Count the one before, now that it is known whether it goes on in this one; None: there is no other."""
        before, self._incomplete = self._incomplete, found
        if before is None:
            return
        if found is not None and before.is_before(found):
            before.goes_on = found.goes_on = True
        check = "turns on several lines" if before.goes_on else "incomplete conversations"
        self._totals[check] += 1
        self._note_place(check, before.where)

    def _end_file(self) -> None:
        """Judge what can only be told of a whole file."""
        if (width := self._wrapping.width()) is not None:
            self._totals["wrapped"] += self._wrapping.lines
            self._totals["wrapped files"] += 1
            if len(self._wrapped) < OFFENDERS:
                self._wrapped.append((self._files[-1][1], width, self._wrapping))
        self._wrapping = Wrapping()

    def _place(self, number: int) -> str:
        """Where a text is, by the number of its line or row among those of all files."""
        before, file = next(entry for entry in reversed(self._files) if entry[0] < number)
        return location(file, number - before)

    def report(self, files: Sequence[Path], vocab: Vocab | None, left_out: Mapping[str, int]) -> Quality:
        """The facts and findings."""
        self._end_file()
        self._add_incomplete(None)
        duplicates, again = self._duplicates.duplicates(OFFENDERS)
        self._places["duplicates"] = list(dict.fromkeys(map(self._place, again)))
        documents = self._totals["documents"]
        unique = 1 - duplicates / max(1, documents)
        facts: dict[str, Any] = {
            "files": list(map(printable, files)),
            "lines": self._totals["lines"],
            "empty": self._totals["empty"] + self.counts.empty,
            "skipped": self.counts.skipped,
            "documents": documents,
            "duplicates": duplicates,
            "unique": unique,
            "bytes": self._totals["bytes"],
            "characters": self._totals["characters"],
            "longest": self._longest,
            "percentiles": dict(zip(map(str, _PERCENTILES), self._percentiles(), strict=True)),
            "tasks": {name: count / max(1, documents) for name, count in self._tasks.most_common() if count},
            "sampled": 1 / self._sample.step,
            **_languages(self._sample.documents),
        }
        if vocab is not None:
            facts["tokens"] = _tokens(self._sample.documents, vocab)
        stop = int(np.flatnonzero(self._lengths)[-1]) + 1 if documents else 0
        return Quality(facts, self._findings(facts, vocab, left_out), self._lengths[:stop].tolist())

    def _percentiles(self) -> list[int]:
        """The number of characters that so many percent of the documents do not exceed."""
        below = np.cumsum(self._lengths)
        if not below[-1]:
            return [0 for _ in _PERCENTILES]
        return [int(np.searchsorted(below, share / 100 * below[-1])) for share in _PERCENTILES]

    def _findings(self, facts: dict[str, Any], vocab: Vocab | None, left_out: Mapping[str, int]) -> list[Finding]:
        enough = facts["documents"] >= MIN_DOCUMENTS
        different = facts["unique"] >= MIN_UNIQUE
        again = self._places["duplicates"]
        found = [
            Finding("documents", _error_unless(enough), f"{facts['documents']:,}", f"at least {MIN_DOCUMENTS:,}"),
            Finding("unique", _error_unless(different), f"{facts['unique']:.1%}", f"at least {MIN_UNIQUE:.0%}", again),
            *map(self._finding, _FAULTS),
            self._wrapped_lines(),
        ]
        if left_out:
            number = sum(left_out.values())
            found.append(
                Finding(
                    "other files",
                    "warning",
                    f"{number:,} file{'s' if number > 1 else ''} of other kinds left out: {listed(left_out)}",
                    "every file is read",
                    remedy="turn them into .txt, one document a line, such as with pandoc --wrap=none -t plain FILE",
                )
            )
        if vocab is not None:
            least, most = VOCABULARY_SIZES
            fits = least <= len(vocab) <= most
            expected = f"{least:,} to {most:,} tokens; fewer where the text fills no more"
            found.append(Finding("vocabulary", "ok" if fits else "warning", f"{len(vocab):,} tokens", expected))
        return found

    def _finding(self, fault: _Fault) -> Finding:
        count = self._totals[fault.check]
        expected = fault.expected.format(longest_line=self._longest_line)
        if not count:
            return Finding(fault.check, "ok", "0", expected)
        return Finding(fault.check, fault.verdict, f"{count:,}", expected, self._places[fault.check], fault.remedy)

    def _wrapped_lines(self) -> Finding:
        """Files whose lines are not paragraphs."""
        check, expected = "wrapped lines", "a paragraph or more a line: one line is one document"
        if not self._wrapped:
            return Finding(check, "ok", "0", expected)
        widths = dict.fromkeys(width for _, width, _ in self._wrapped)
        files = self._totals["wrapped files"]
        found = (
            f"{self._totals['wrapped']:,} in {files:,} file{'s' if files > 1 else ''} look wrapped at "
            f"{', '.join(map(str, widths))} characters"
        )
        file, width, wrapping = self._wrapped[0]
        remedy = f"join the lines of a paragraph: {_joining_command(file, width, wrapping)}"
        return Finding(check, "error", found, expected, [printable(file) for file, _, _ in self._wrapped], remedy)


def _joining_command(file: Path, width: int, wrapping: Wrapping) -> str:
    """The command that makes a line of each paragraph."""
    if wrapping.blank >= _BLANK_LINES * wrapping.lines:  # between paragraphs
        join = "tr -d '\\r' | awk -v RS= '{gsub(/[ \\t]*\\n[ \\t]*/, \" \"); print}'"
    else:  # a short line ends one
        least = width - _SHORT
        join = f'tr -d \'\\r\' | awk \'{{printf "%s%s", $0, length($0) < {least} ? "\\n" : " "}}\''
    read = "gzip -dc" if file.suffix.lower() == ".gz" else "cat"
    return f"{read} {shlex.quote(printable(file))} | {join} > NEW.txt"


def _error_unless(right: bool) -> Verdict:
    return "ok" if right else "error"


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _lengths(texts: list[bytes]) -> NDArray[np.int64]:
    return np.fromiter((len(text.decode("utf-8", "replace")) for text in texts), np.int64, len(texts))


def _contents(text: bytes) -> Iterator[bytes]:
    for turn in parse_line(text):
        yield turn.content


def _said(content: bytes) -> bytes:
    """What tells the language; a request for a translation is in that of what is to be translated."""
    return content.removeprefix(TO_ENGLISH).removeprefix(TO_HUNGARIAN)


def _languages(sample: list[tuple[int, bytes]]) -> dict[str, Any]:
    """The languages' shares of the bytes."""
    sizes: Counter[str] = Counter()
    for _, text in sample:
        for said in map(_said, _contents(text)):
            sizes[identify(said)] += len(said)
    return {"languages": {name: size / max(1, sizes.total()) for name, size in sizes.most_common()}}


def _tokens(sample: list[tuple[int, bytes]], vocab: Vocab) -> dict[str, Any]:
    """What a vocabulary makes of the sample."""
    contents = [content for _, text in sample for content in _contents(text)]
    ids = vocab.encode_batch(contents)
    lengths = np.array([len(some) for some in ids], np.int64)
    used = np.bincount(np.concatenate(ids) if ids else np.empty(0, np.int64), minlength=len(vocab))
    words: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    for content, length in zip(contents, lengths.tolist(), strict=True):
        language = identify(_said(content))
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
