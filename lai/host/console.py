"""Standard output: its encoding, and a reader who may go away before a program ends (`… | head`)."""

import codecs
import logging
import os
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO


class ConsoleHandler(logging.StreamHandler[TextIO]):
    """Says no more once nobody reads, where logging's own prints a traceback for every line; the run goes on."""

    def handleError(self, record: logging.LogRecord) -> None:
        if isinstance(sys.exc_info()[1], BrokenPipeError):
            discard_output()
        else:
            super().handleError(record)


def prepare_output() -> None:
    """Make standard output and error streams that any text can be written to; call this first.

    Without a standard output (`>&-`) what is written goes nowhere. Pipes and files get UTF-8 also where the system's
    default has no ő (cp1252 on Windows). A terminal keeps its encoding; what that lacks is shown as `?`.
    """
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and codecs.lookup(stream.encoding).name != "utf-8":
            if stream.isatty():
                stream.reconfigure(errors="replace")
            else:
                stream.reconfigure(encoding="utf-8")


def discard_output() -> None:
    """Let what is still to be written to standard output, also on leaving, go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
