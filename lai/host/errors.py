"""The exceptions for a user's mistake and for an interruption, and errors as one line."""

import os
import signal


class UserError(ValueError):
    """Something the user can put right. The message is one line: what was found, what was expected, what to do."""


class Interrupted(KeyboardInterrupt):
    """A signal asked the program to stop; `status` is what a shell expects then, 128 + the signal's number."""

    def __init__(self, number: int | None = None) -> None:
        super().__init__()
        self.status = 128 + (number or signal.SIGINT)


def message_of(error: UserError | OSError) -> str:
    """The one line to print for an error."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fspath(error.filename)}: {error.strerror}"
    # A data loader's worker process wraps the message in a traceback.
    text = str(error)
    return text.strip().rpartition(f"{type(error).__name__}: ")[2] if "Original Traceback" in text else text


def first_line(error: BaseException) -> str:
    """The first line of an error of other software, or its class where it has no message."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
