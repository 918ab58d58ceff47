"""Standard output: its encoding, and pipes that are closed before a program ends (`… | head`)."""

import codecs
import logging
import os
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO


class ConsoleHandler(logging.StreamHandler[TextIO]):
    """Prints nothing more once standard output is closed; logging's own handler prints a traceback for every line."""

    def handleError(self, record: logging.LogRecord) -> None:
        if isinstance(sys.exc_info()[1], BrokenPipeError):
            discard_output()
        else:
            super().handleError(record)


def prepare_output() -> None:
    """Make standard output and standard error accept any text; call this first.

    Without a standard output (`>&-`) all output is discarded. Pipes and files get UTF-8 also where the system's default
    has no ő (cp1252 on Windows). A terminal keeps its encoding and shows `?` for characters that it lacks.
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
    """Discard what is still to be written to standard output, also while Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
