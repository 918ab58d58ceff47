"""The checks of a text: limits, and findings with verdicts, places and remedies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lai.data.quality.counting import Counting
from lai.data.quality.wrapping import Wrapping
from lai.data.sources.discovery import listed
from lai.data.sources.encoding_guess import conversion
from lai.data.sources.kinds import printable, reading_command
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
    of: str = ""
    """`lines` or `pairs`: the total of which a share decides; empty: a single text has the verdict."""
    warns_from: float = 0.0
    """The share from which on it is a warning."""
    fails_from: float = 1.1
    """The share from which on it is an error, if there are _MIN_FAILING."""


_MIN_FAILING = 3  # texts with a fault: fewer never fail a text
_FROM_SOURCE = "take the text from its source again, or leave the documents out"
_CLEAN = "mend it: lai-clean-data FILE --output NEW.jsonl, or data.clean=true"
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
    Fault("õ and û for ő and ű", "warning", "no document: Latin-2 was read as Latin-1", _CLEAN, "lines", 0, 0.01),
    Fault("mojibake", "warning", "no document whose bytes were read in a wrong encoding", _CLEAN, "lines", 0, 0.01),
    Fault(
        "mojibake beyond repair",
        "warning",
        "no document whose wrongly read letters cannot be told",
        _FROM_SOURCE,
        "lines",
        0,
        0.01,
    ),
    Fault(
        "lost characters",
        "warning",
        "no document with U+FFFD, which stands for lost bytes",
        _FROM_SOURCE,
        "lines",
        0,
        0.01,
    ),
    Fault("NFD", "warning", "no document with letters in pieces", _CLEAN, "lines", 0, 0.01),
    Fault(
        "invisible characters",
        "warning",
        "no document with soft hyphens, zero-width characters or U+FEFF",
        _CLEAN,
        "lines",
        0,
        0.01,
    ),
    Fault("unusual blanks", "warning", "no document with no-break spaces or others but the space", _CLEAN, "lines"),
    Fault("HTML entities", "warning", "no document with &amp; for &", _CLEAN, "lines", 0, 0.01),
    Fault("other programs' markup", "warning", "no document", _CLEAN, "lines", 0, 0.01),
    Fault(
        "old Mac line ends",
        "warning",
        "no document with a carriage return inside",
        "make them line ends: tr '\\r' '\\n' < FILE > NEW",
        "lines",
        0,
        0.01,
    ),
    Fault("empty turns", "warning", "no turn without text", "leave the documents out", "lines", 0, 0.01),
    Fault(
        "swapped sides",
        "warning",
        "English first, then Hungarian",
        "swap them: lai-clean-data FILE --output NEW.tsv, with --swap all of them, or data.clean=true",
        "pairs",
        0.005,
        0.02,
    ),
    Fault(
        "sides in one language",
        "warning",
        "one side English, one Hungarian",
        "leave the pairs out",
        "pairs",
        0.03,
        0.10,
    ),
    Fault("equal sides", "warning", "different sides", "leave the pairs out", "pairs", 0.01, 0.10),
    Fault(
        "sides out of proportion",
        "warning",
        "no side more than about twice as long as the other",
        "see whether the lines of the two languages are shifted; leave the pairs out",
        "pairs",
        0.03,
        0.10,
    ),
    Fault(
        "quoted fields",
        "warning",
        "no fields in a spreadsheet's quotes",
        "mend them: lai-clean-data FILE --output NEW.tsv, or give the file the ending .csv",
        "pairs",
        0.001,
        0.02,
    ),
    Fault("empty sides", "warning", "two sides with text", "such lines are left out", "lines", 0, 0.10),
    Fault("columns", "warning", "as many columns in each line", "such lines are left out", "lines", 0, 0.10),
    Fault("header line", "warning", "no names of columns", "leave the first line out: tail -n +2 FILE > NEW"),
    Fault("long documents", "warning", "none of more than {longest_line:,} bytes"),
)
CHECKS_OF_PAIRS = ("swapped sides", "sides in one language", "equal sides", "sides out of proportion", "quoted fields")
CHECKS_OF_COLUMNS = ("empty sides", "columns", "header line")


def judge(
    counting: Counting, vocab: Vocab | None, left_out: Mapping[str, int], others: Sequence[Finding] = ()
) -> list[Finding]:
    """All findings on a text that is counted to its end.

    Args:
        vocab: the vocabulary to judge; None: none.
        left_out: how many files of each ending are not read.
        others: findings that are made elsewhere, from several texts at once.
    """
    documents, unique = counting.totals["documents"], counting.unique
    enough, different = documents >= MIN_DOCUMENTS, unique >= MIN_UNIQUE
    again = counting.places["duplicates"]
    found = [
        Finding("documents", _error_unless(enough), f"{documents:,}", f"at least {MIN_DOCUMENTS:,}"),
        Finding("unique", _error_unless(different), f"{unique:.1%}", f"at least {MIN_UNIQUE:.0%}", again),
        *(_fault_finding(fault, counting) for fault in FAULTS if _concerns(fault, counting)),
        _wrapped_lines(counting),
        _torn_stories(counting),
        *others,
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


def _concerns(fault: Fault, counting: Counting) -> bool:
    """Whether a text has what the check is about: pairs, or columns."""
    if fault.check in CHECKS_OF_PAIRS:
        return counting.totals["pairs"] > 0
    return fault.check not in CHECKS_OF_COLUMNS or counting.has_columns


def _fault_finding(fault: Fault, counting: Counting) -> Finding:
    count = counting.totals[fault.check]
    expected = fault.expected.format(longest_line=counting.wanted.longest_line)
    if not count:
        return Finding(fault.check, "ok", "0", expected)
    verdict, found, remedy = fault.verdict, f"{count:,}", fault.remedy
    if fault.of:
        total = counting.totals["pairs"] if fault.of == "pairs" else counting.totals["filled lines"]
        share = count / max(1, total)
        verdict = "warning" if share >= fault.warns_from else "ok"
        if share >= fault.fails_from and count >= _MIN_FAILING:
            verdict = "error"
        found = f"{count:,} of {total:,} {fault.of}"
    if fault.check == "other programs' markup":
        found += f": {', '.join(f'{name} {number:,}' for name, number in counting.markup.most_common(5))}"
    if fault.check == "invalid UTF-8" and counting.encoding is not None:
        encoding, file = counting.encoding
        found, remedy = f"{found}, likely {encoding}", conversion(file, encoding)
    return Finding(fault.check, verdict, found, expected, counting.places.get(fault.check, []), remedy)


def _torn_stories(counting: Counting) -> Finding:
    """Files whose stories are torn into paragraphs."""
    check, expected = "torn stories", "a whole story a line: one line is one document"
    if not counting.torn:
        return Finding(check, "ok", "0", expected)
    file, groups = counting.torn[0]
    lines = f"{counting.totals['torn']:,} lines"
    places = [printable(file) for file, _ in counting.torn]
    if groups < 0:
        remedy = "put each story on one line, with U+2028 between its paragraphs; nothing says where one ends"
        return Finding(check, "warning", f"{lines}, many of which carry on the one before", expected, places, remedy)
    join = r"""awk -v RS= '{gsub(/\r?\n/, "\342\200\250"); print}'"""
    remedy = f"join the paragraphs of a story: {reading_command(file)} | {join} > NEW.txt"
    return Finding(
        check, "warning", f"{lines} look like {groups:,} stories between blank lines", expected, places, remedy
    )


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
    return f"{reading_command(file)} | {join} > NEW.txt"


def _error_unless(right: bool) -> Verdict:
    return "ok" if right else "error"
