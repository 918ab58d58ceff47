"""What all command-line programs share: argument types, errors as one line, and exit statuses."""

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from lai.host.console import discard_output, prepare_output, printable
from lai.host.errors import UserError, message_of


def whole_number(minimum: int) -> Callable[[str], int]:
    """A type for argparse's arguments: a whole number from `minimum` on."""

    def read(text: str) -> int:
        if not text.lstrip("+-").isdecimal() or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"{text} is not a whole number from {minimum} on")
        return int(text)

    return read


def leave(status: int) -> NoReturn:
    """End the program with a status; call this last.

    Arrow's threads may still fetch a data set that was not read to its end, and crash Python while it ends. With them
    the process ends at once.
    """
    if "datasets" in sys.modules:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # a full disk or a closed pipe, which is reported before
                stream.flush()
        os._exit(status)
    sys.exit(status)


_typed: list[str] = []


def remember_arguments() -> None:
    """Remember the command line before a program brings it into the form that other software reads."""
    _typed[:] = sys.argv[1:]


def typed_arguments() -> list[str]:
    """The arguments of the command line as they were typed."""
    return list(_typed)


def run_program(main: Callable[[], int | None]) -> None:
    """Run a command-line program: exit with its status, or print an error as one line and exit with 2."""
    prepare_output()
    try:
        status = main() or 0
        sys.stdout.flush()
    except BrokenPipeError:  # `… | head`
        discard_output()
        status = 1
    except (UserError, OSError) as error:
        print(printable(f"error: {message_of(error)}", sys.stderr), file=sys.stderr)
        status = 2
    except MemoryError:
        print("error: there is not enough memory", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    leave(status)
