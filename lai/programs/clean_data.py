"""Mend what is wrong with a text, and say what was changed.

Mended are letters of a wrong encoding, HTML entities, letters in pieces, invisible characters, blanks and line ends of
other kinds, other programs' chat markup, swapped sides of pairs, and a spreadsheet's quotes.
"""

import argparse
from pathlib import Path

from lai.data.cleaned import Cleaned, clean_documents
from lai.data.sources.discovery import find_files
from lai.data.sources.kinds import kind_of
from lai.data.sources.reading import Reading
from lai.data.sources.serialize import lines, output_kind
from lai.data.text.pairs import pair_of
from lai.host.cli import run_program
from lai.host.errors import UserError
from lai.host.files import atomic_write, target_of
from lai.programs.arguments import add_reading_arguments, argument_parser, reading_of
from lai.tokenizer.chat import TO_HUNGARIAN, Document, to_line

_SHOWN = 10


def main() -> None:
    """The entry point of `lai-clean-data`."""
    run_program(_clean_data)


def _parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__, "Exit code 0: the text is written; 2: it cannot be read or written.")
    parser.add_argument("data", nargs="+", help="text files, folders or patterns")
    parser.add_argument("--output", type=Path, help="the file to write: .txt, .jsonl, or .tsv for pairs")
    parser.add_argument(
        "--swap", action="store_true", help="swap the sides of all pairs: the files have Hungarian first"
    )
    add_reading_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="write nothing; show ten changed lines before and after")
    return parser.parse_intermixed_args()


def _clean_data() -> int:
    options = _parse_arguments()
    if options.output is None and not options.dry_run:
        raise UserError("--output is missing; expected a file to write, or --dry-run")
    reading = reading_of(options)
    files = find_files(options.data, reading)
    report = Cleaned()
    if options.dry_run:
        shown: list[str] = []

        def show(where: str, before: Document, after: Document) -> None:
            if len(shown) < _SHOWN:
                shown.append(where)
                print(f"{where}\n  - {_line(before)}\n  + {_line(after)}")

        for _ in clean_documents(files, report, reading, swap=options.swap, show=show):
            pass
    else:
        left_out = _write(files, options.output, options.swap, report, reading)
    print("\n".join(report.lines()))
    if not options.dry_run:
        if left_out:
            print(f"{left_out:,} documents cannot be a line of {options.output} and are left out; .jsonl keeps them")
        print(f"{options.output} written")
    return 0


def _line(document: Document) -> str:
    return to_line(document).decode("utf-8", "backslashreplace")


def _write(files: list[Path], output: Path, swap: bool, report: Cleaned, reading: Reading) -> int:
    """Write the cleaned documents; return how many had to be left out."""
    target = target_of(output)
    if target in {file.resolve() for file in files}:
        raise UserError(f"--output {output} is one of the files to read; give another name")
    pairs = kind_of(output) == ".tsv" and output.suffix.lower() == ".tsv"
    kind = "" if pairs else output_kind(output)
    left_out = 0
    with atomic_write(output) as file:
        documents = clean_documents(files, report, reading, swap=swap)
        for line in map(_pair_line, documents) if pairs else lines(documents, kind):
            if line is None:
                left_out += 1
            else:
                file.write(line)
    return left_out


def _pair_line(document: Document) -> bytes | None:
    """A pair as English, tab, Hungarian; empty for the other direction, None for what is no pair of single lines."""
    pair = pair_of(document)
    if pair is None or any("\t" in side or "\n" in side for side in pair):
        return None
    return "\t".join(pair).encode() + b"\n" if document[0].content.startswith(TO_HUNGARIAN) else b""


if __name__ == "__main__":
    main()
