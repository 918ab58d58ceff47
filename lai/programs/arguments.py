"""The argument parser of every program: it knows how the program was started, and `--version`."""

import argparse
import sys
from pathlib import Path

from lai import __version__


def argument_parser(description: str | None, epilog: str | None = None) -> argparse.ArgumentParser:
    """A parser whose `usage:` line begins as the person's command did."""
    parser = argparse.ArgumentParser(prog=started_as(), description=description, epilog=epilog)
    parser.add_argument("--version", action="version", version=f"lai {__version__}", help="print the version and exit")
    return parser


def started_as() -> str:
    """The command that started this program: `lai-info`, `python -m lai.info` or `python lai-export`."""
    started = sys.argv[0]
    # argparse names a module's file until Python 3.14: generate.py for `python -m lai.generate`.
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and spec.origin == started:
        return f"python -m {spec.name}"
    return f"python {started}" if started.endswith(".py") else Path(started).name
