"""The one exception for a user's mistake, and the one place that turns it into a line and an exit code."""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from lai.host.console import discard_output, prepare_output


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


def message_of(error: UserError | OSError) -> str:
    """What to print of an error, in one line."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fspath(error.filename)}: {error.strerror}"
    return str(error)


def first_line(error: BaseException) -> str:
    """What an error of other software says, in one line."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


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
