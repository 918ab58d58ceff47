"""What every command-line program shares: argument types, and how it ends."""

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from lai.host.console import discard_output, prepare_output
from lai.host.errors import UserError, message_of


def whole_number(least: int) -> Callable[[str], int]:
    """A type for argparse's arguments: a whole number from `least` on."""

    def read(text: str) -> int:
        if not text.lstrip("+-").isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} is not a whole number from {least} on")
        return int(text)

    return read


def leave(status: int) -> NoReturn:
    """End the program with a status; call this last.

    A data set that was left before its end may still be fetched by Arrow's threads, which crash Python as it ends. Then
    it ends at once.
    """
    if "datasets" in sys.modules:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # of a disk that is full, or nobody who reads: told before
                stream.flush()
        os._exit(status)
    sys.exit(status)


def run_program(main: Callable[[], int | None]) -> None:
    """Run a command-line program: exit with its status, or print what went wrong as one line and exit with 2."""
    prepare_output()
    try:
        status = main() or 0
        sys.stdout.flush()
    except BrokenPipeError:  # `… | head`
        discard_output()
        status = 1
    except (UserError, OSError) as error:
        print(f"error: {message_of(error)}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    leave(status)
