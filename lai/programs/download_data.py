"""Download Hungarian and English text from the Hugging Face hub into one file."""

import argparse
from pathlib import Path

from rich.console import Console

from lai.data.sources.catalog import KNOWN_SETS, SIZES, choose_sets
from lai.data.sources.download import download
from lai.host.cli import run_program, whole_number
from lai.programs.arguments import argument_parser


def main() -> None:
    """The entry point of `lai-download-data`."""
    run_program(_download_data)


def _parse_arguments() -> argparse.Namespace:
    parser = argument_parser(
        __doc__,
        "An interrupted download resumes where it stopped. In .txt a line break inside a document is U+2028, "
        "which every program of LAi reads as a line break; .jsonl keeps it as it is.",
    )
    parser.add_argument("--output", type=Path, required=True, help="the file to write, .txt or .jsonl")
    parser.add_argument(
        "--size", choices=SIZES, default="small", help="how many rows of each data set (default: %(default)s)"
    )
    for name, known in KNOWN_SETS.items():
        sizes = ", ".join(f"{size} {rows:,}" for size, rows in known.rows.items())
        parser.add_argument(
            f"--{name}", type=whole_number(0), metavar="ROWS", help=f"rows of {known.source.name}; by size: {sizes}"
        )
    return parser.parse_args()


def _download_data() -> int:
    options = _parse_arguments()
    console = Console(highlight=False, soft_wrap=True)
    sources = choose_sets(options.size, {name: getattr(options, name) for name in KNOWN_SETS})
    download(options.output, sources, lambda line: console.print(line, markup=False))
    return 0


if __name__ == "__main__":
    main()
