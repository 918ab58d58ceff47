"""Show the results of a sweep, also while it runs: the best first, and what has become of each job; write sweep.csv."""

from contextlib import suppress
from pathlib import Path

from lai.host.cli import run_program
from lai.host.console import printable
from lai.host.errors import UserError
from lai.programs.arguments import argument_parser
from lai.sweep.ledger import NAME, Ledger
from lai.sweep.table import lines, write_csv


def main() -> None:
    """The entry point of `lai-report`."""
    run_program(_report)


def _report() -> int:
    parser = argument_parser(__doc__)
    parser.add_argument("folder", type=Path, help="the folder of a sweep, as in outputs/<date>/<time>")
    options = parser.parse_intermixed_args()
    ledger = Ledger(options.folder.absolute() / NAME)
    if not ledger.exists():
        raise UserError(f"{options.folder} has no {NAME}; expected the folder of a sweep")
    for line in lines(ledger):
        print(printable(line))
    with suppress(UserError):  # of somebody else's sweep, in a folder that cannot be written to
        write_csv(ledger)
    return 0


if __name__ == "__main__":
    main()
