"""The exceptions of a user's mistake and of an interruption, and how errors are told in one line."""

import os
import signal


class UserError(ValueError):
    """Something the user can put right. The message is one line: what was found, what was expected, what to do."""


class Interrupted(KeyboardInterrupt):
    """A program was asked to stop; `status` is what a shell expects then, 128 and the signal's number."""

    def __init__(self, number: int | None = None) -> None:
        super().__init__()
        self.status = 128 + (number or signal.SIGINT)


def message_of(error: UserError | OSError) -> str:
    """What to print of an error, in one line."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fspath(error.filename)}: {error.strerror}"
    return str(error)


def first_line(error: BaseException) -> str:
    """What an error of other software says, in one line."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
