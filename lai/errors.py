"""The one exception for a user's mistake, and the one place that turns it into a line and an exit code."""

import argparse
import signal
import sys
from collections.abc import Callable

from lai.console import discard_output, replace_closed_output


class UserError(ValueError):
    """Something the user can put right. The message is one line: what was found, what was expected, what to do."""


class Interrupted(KeyboardInterrupt):
    """A program was asked to stop; `status` is what a shell expects then, 128 and the signal's number."""

    def __init__(self, number: int | None = None) -> None:
        super().__init__()
        self.status = 128 + (number or signal.SIGINT)


def whole_number(least: int) -> Callable[[str], int]:
    """A type for argparse's arguments: a whole number from `least` on."""

    def read(text: str) -> int:
        if not text.lstrip("+-").isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} is not a whole number from {least} on")
        return int(text)

    return read


def run_program(main: Callable[[], int | None]) -> None:
    """Run a command-line program: exit with its status, or print what went wrong as one line and exit with 2."""
    replace_closed_output()
    try:
        status = main()
        sys.stdout.flush()
        sys.exit(status)
    except BrokenPipeError:  # `… | head`
        discard_output()
        sys.exit(1)
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
