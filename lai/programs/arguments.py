"""The argument parser of every program: it knows how the program was started, and `--version`."""

import argparse
import sys
from pathlib import Path

from lai import __version__
from lai.data.sources.reading import Reading
from lai.host.cli import whole_number
from lai.host.errors import UserError


def argument_parser(description: str | None, epilog: str | None = None) -> argparse.ArgumentParser:
    """A parser whose `usage:` line begins as the person's command did."""
    parser = argparse.ArgumentParser(prog=started_as(), description=description, epilog=epilog)
    parser.add_argument("--version", action="version", version=f"lai {__version__}", help="print the version and exit")
    return parser


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how rows are read: those of training, data.columns, data.template and data.bad_rows."""
    parser.add_argument(
        "--columns", nargs="+", metavar="OURS=THEIRS", help="columns of rows: text=body, or en=1 hu=2 without a header"
    )
    parser.add_argument("--template", help="how a row becomes a document: <user>{question}</user><assistant>…")
    parser.add_argument(
        "--bad_rows",
        choices=("error", "skip"),
        default="error",
        help="what a faulty row does: end the program, or be counted and left out (default: %(default)s)",
    )
    parser.add_argument(
        "--max_unpacked",
        type=whole_number(1),
        metavar="BYTES",
        help="bytes that a packed file may unpack to (default: 100 times its size, and 1 GB in any case)",
    )


def reading_of(options: argparse.Namespace) -> Reading:
    """How rows are read, by the options of `add_reading_arguments`.

    Raises:
        UserError: a column has no `=`.
    """
    columns = {}
    for column in options.columns or ():
        ours, equals, theirs = column.partition("=")
        if not (ours and equals and theirs):
            raise UserError(f"--columns {column} is no OURS=THEIRS; expected such as text=body")
        columns[ours] = theirs
    return Reading(columns or None, options.template, options.bad_rows, max_unpacked=options.max_unpacked)


def started_as() -> str:
    """The command that started this program: `lai-info`, `python -m lai.info` or `python lai-export`."""
    started = sys.argv[0]
    # argparse names a module's file until Python 3.14: generate.py for `python -m lai.generate`.
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and spec.origin == started:
        return f"python -m {spec.name}"
    return f"python {started}" if started.endswith(".py") else Path(started).name
