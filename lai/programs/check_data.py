"""Report what is in a text, what is wrong with it for training, and where."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lai.data.prepare import workers_for
from lai.data.quality.findings import MAX_LINE_BYTES, Finding
from lai.data.quality.histogram import draw_histogram
from lai.data.quality.report import Quality, examine, listed_formats, shares
from lai.data.sources.discovery import files_left_out, find_files
from lai.export.vocab_file import load_vocab
from lai.host.cli import run_program, whole_number
from lai.host.console import printable
from lai.host.errors import UserError
from lai.programs.arguments import add_reading_arguments, argument_parser, reading_of

_SIGNS = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "error": "[red]error[/]"}


def main() -> None:
    """The entry point of `lai-check-data`."""
    run_program(_check_data)


def _parse_arguments() -> argparse.Namespace:
    parser = argument_parser(
        __doc__, "Exit code 0: no error, perhaps warnings; 1: at least one error; 2: the text cannot be read."
    )
    parser.add_argument("data", nargs="+", help="text files, folders or patterns")
    parser.add_argument(
        "--val", nargs="+", metavar="PATH", default=[], help="files to validate with, to look for in them"
    )
    parser.add_argument("--vocab", type=Path, help="a vocabulary or a model file; adds the checks that need tokens")
    parser.add_argument(
        "--longest",
        type=whole_number(1),
        metavar="BYTES",
        default=MAX_LINE_BYTES,
        help="report documents that are longer (default: %(default)s)",
    )
    parser.add_argument("--histogram", type=Path, metavar="PNG", help="draw the lengths of the documents")
    add_reading_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    return parser.parse_intermixed_args()


def _check_data() -> int:
    options = _parse_arguments()
    if options.histogram and options.histogram.suffix.lower() != ".png":
        raise UserError(f"--histogram {options.histogram} is not a PNG file; give it the ending .png")
    vocab = load_vocab(options.vocab) if options.vocab else None
    reading = reading_of(options)
    files = find_files(options.data, reading)
    val_files = find_files(options.val, reading) if options.val else []
    left_out = files_left_out(options.data, reading)
    with workers_for([*files, *val_files]) as workers:
        quality = examine(files, vocab, options.longest, left_out, reading, val_files, workers)
    if options.histogram:
        draw_histogram(quality.lengths, options.histogram)
    if options.json:
        print(quality.to_json().decode())
    else:
        print_tables(quality)
        if options.histogram:
            print(f"{options.histogram} written")
    return 0 if quality.good else 1


def described(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """The facts as (name, value) rows in words."""
    sampled = "" if facts["sampled"] == 1 else f" (of one document in {1 / facts['sampled']:.0f})"
    empty = f"{facts['empty']:,} empty lines" + (f", {facts['skipped']:,} rows skipped" if facts["skipped"] else "")
    lengths = ", ".join(f"{share} % {length:,}" for share, length in facts["percentiles"].items())
    rows = [
        ("formats", listed_formats(facts)),
        ("documents", f"{facts['documents']:,}; {empty}"),
        ("size", f"{facts['bytes']:,} bytes, {facts['characters']:,} characters"),
        ("duplicates", f"{facts['duplicates']:,}; {facts['unique']:.1%} unique"),
        ("characters a document", f"{lengths}, longest {facts['longest']:,}"),
        ("tasks", shares(facts["tasks"])),
        ("languages", shares(facts["languages"]) + sampled),
    ]
    if tokens := facts.get("tokens"):
        per_word = ", ".join(f"{value:.2f} a word in {name}" for name, value in tokens["tokens_per_word"].items())
        rows += [
            ("tokens", f"{tokens['tokens']:,}; {tokens['bytes_per_token']:.2f} bytes a token; {per_word}{sampled}"),
            ("", f"{tokens['byte_fallback']:.2%} of them single bytes"),
            ("never used", f"{tokens['never_used']:,} of the vocabulary's {tokens['vocabulary']:,} tokens{sampled}"),
        ]
    return rows


def print_tables(quality: Quality) -> None:
    """Print the facts, then each finding with its verdict and the first places."""
    console = Console(highlight=False, soft_wrap=True)
    facts = Table(box=None, show_header=False)
    for name, value in described(quality.facts):
        facts.add_row(name, escape(printable(value)))
    console.print(facts)
    console.print()
    findings = Table("verdict", "check", "found", "expected", box=None)
    for finding in quality.findings:
        findings.add_row(_SIGNS[finding.verdict], finding.check, escape(printable(finding.found)), finding.expected)
    console.print(findings)
    for finding in quality.findings:
        if finding.places:
            console.print(escape(printable(f"{heading(finding)}: {', '.join(finding.places)}")))
        if finding.remedy:
            console.print(escape(f"what to do about {finding.check}: {finding.remedy}"))


def heading(finding: Finding) -> str:
    """What the places of a finding are."""
    return "first duplicates" if finding.check == "unique" else f"first {finding.check}"


if __name__ == "__main__":
    main()
