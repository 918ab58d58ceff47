"""The checks of a text: limits, and findings with verdicts, places and remedies."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lai.data.quality.counting import Counting
from lai.data.quality.text_batches import printable
from lai.data.quality.wrapping import Wrapping
from lai.data.sources.discovery import listed
from lai.data.sources.streams import packing_of
from lai.tokenizer.vocab import Vocab

Verdict = Literal["ok", "warning", "error"]

MIN_DOCUMENTS = 20_000
MIN_UNIQUE = 0.60
VOCABULARY_SIZES = (8_000, 32_000)
MAX_LINE_BYTES = 100_000

_BLANK_LINES = 0.01  # share of the lines with text
_SHORT = 15  # characters less than the width: a longer gap means that the paragraph ended


@dataclass(frozen=True)
class Finding:
    """The result of one check: what was found, what is expected, the first places of faults, and what to do.

    `remedy` is empty if nothing has to be done, or one line cannot say it.
    """

    check: str
    verdict: Verdict
    found: str
    expected: str
    places: list[str] = field(default_factory=list)
    remedy: str = ""


@dataclass(frozen=True)
class Fault:
    """A fault of single documents, and the finding that it becomes."""

    check: str
    verdict: Verdict
    expected: str
    remedy: str = ""


# A line starts a document unless it continues a conversation.
_JOIN_TURNS = (
    "put a conversation on one line: awk '/[^ \\t\\r]/ {c = /^<assistant>/ || (s && /^<user>/); "
    'printf "%s%s", c ? "" : "\\n", $0; s = /^<system>/} END {print ""}\' FILE > NEW'
)
_TURN_ORDER = "an optional system turn, then user and assistant in turn"
FAULTS = (
    Fault("invalid UTF-8", "error", "no document"),
    Fault("malformed markup", "error", "no document with tags that are not whole turns"),
    Fault("turns on several lines", "error", "a whole conversation a line", _JOIN_TURNS),
    Fault(
        "incomplete conversations",
        "error",
        f"none: {_TURN_ORDER}",
        "give each question its answer, or leave the document out",
    ),
    Fault("tags as letters", "warning", "no document: they are read as literal text"),
    Fault("control characters", "warning", "no document"),
    Fault("long documents", "warning", "none of more than {longest_line:,} bytes"),
)


def judge(counting: Counting, vocab: Vocab | None, left_out: Mapping[str, int]) -> list[Finding]:
    """All findings on a text that is counted to its end.

    Args:
        vocab: the vocabulary to judge; None: none.
        left_out: how many files of each ending are not read.
    """
    documents, unique = counting.totals["documents"], counting.unique
    enough, different = documents >= MIN_DOCUMENTS, unique >= MIN_UNIQUE
    again = counting.places["duplicates"]
    found = [
        Finding("documents", _error_unless(enough), f"{documents:,}", f"at least {MIN_DOCUMENTS:,}"),
        Finding("unique", _error_unless(different), f"{unique:.1%}", f"at least {MIN_UNIQUE:.0%}", again),
        *(_fault_finding(fault, counting) for fault in FAULTS),
        _wrapped_lines(counting),
    ]
    if bad := counting.counts.bad_rows:
        places = counting.counts.bad_places
        found.append(Finding("bad rows", "warning", f"{bad:,} left out", "none", list(places), "mend them in the file"))
    if left_out:
        number = sum(left_out.values())
        found.append(
            Finding(
                "other files",
                "warning",
                f"{number:,} file{'s' if number > 1 else ''} of other kinds left out: {listed(left_out)}",
                "every file is read",
                remedy=(
                    "name the columns of .json and .csv by data.columns; "
                    if {".json", ".csv"} & left_out.keys()
                    else ""
                )
                + "turn them into .txt, one document a line, such as with pandoc --wrap=none -t plain FILE",
            )
        )
    if vocab is not None:
        smallest, largest = VOCABULARY_SIZES
        fits = smallest <= len(vocab) <= largest
        expected = f"{smallest:,} to {largest:,} tokens; fewer where the text fills no more"
        found.append(Finding("vocabulary", "ok" if fits else "warning", f"{len(vocab):,} tokens", expected))
    return found


def _fault_finding(fault: Fault, counting: Counting) -> Finding:
    count = counting.totals[fault.check]
    expected = fault.expected.format(longest_line=counting.longest_line)
    if not count:
        return Finding(fault.check, "ok", "0", expected)
    return Finding(fault.check, fault.verdict, f"{count:,}", expected, counting.places[fault.check], fault.remedy)


def _wrapped_lines(counting: Counting) -> Finding:
    """Files whose lines are not paragraphs."""
    check, expected = "wrapped lines", "a paragraph or more a line: one line is one document"
    if not counting.wrapped:
        return Finding(check, "ok", "0", expected)
    widths = dict.fromkeys(width for _, width, _ in counting.wrapped)
    files = counting.totals["wrapped files"]
    found = (
        f"{counting.totals['wrapped']:,} in {files:,} file{'s' if files > 1 else ''} look wrapped at "
        f"{', '.join(map(str, widths))} characters"
    )
    file, width, wrapping = counting.wrapped[0]
    remedy = f"join the lines of a paragraph: {_joining_command(file, width, wrapping)}"
    return Finding(check, "error", found, expected, [printable(file) for file, _, _ in counting.wrapped], remedy)


def _joining_command(file: Path, width: int, wrapping: Wrapping) -> str:
    """The command that joins each paragraph into one line."""
    if wrapping.blank >= _BLANK_LINES * wrapping.lines:  # between paragraphs
        join = "tr -d '\\r' | awk -v RS= '{gsub(/[ \\t]*\\n[ \\t]*/, \" \"); print}'"
    else:  # a short line ends one
        minimum = width - _SHORT
        join = f'tr -d \'\\r\' | awk \'{{printf "%s%s", $0, length($0) < {minimum} ? "\\n" : " "}}\''
    read = {".gz": "gzip -dc", ".zst": "zstd -dc"}.get(packing_of(file), "cat")
    return f"{read} {shlex.quote(printable(file))} | {join} > NEW.txt"


def _error_unless(right: bool) -> Verdict:
    return "ok" if right else "error"
