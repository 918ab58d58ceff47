"""Standard output, whose reader may go away before a program ends (`… | head`)."""

import logging
import os
import sys
from pathlib import Path
from typing import TextIO


class ConsoleHandler(logging.StreamHandler[TextIO]):
    """Says no more once nobody reads, where logging's own prints a traceback for every line; the run goes on."""

    def handleError(self, record: logging.LogRecord) -> None:
        if isinstance(sys.exc_info()[1], BrokenPipeError):
            discard_output()
        else:
            super().handleError(record)


def replace_closed_output() -> None:
    """Where a program is begun without a standard output (`>&-`), let what it writes go nowhere."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115


def discard_output() -> None:
    """Let what is still to be written to standard output, also on leaving, go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
