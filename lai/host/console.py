"""What a program prints and logs: encodings, text of strangers on a terminal, closed pipes (`… | head`), full disks."""

import codecs
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

# The engine's: cpp/text/text_output.cpp. A surrogate, of a file name with other bytes than UTF-8, is such a byte.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


_label = ""


@contextmanager
def labelled(text: str) -> Iterator[None]:
    """Begin each line of the log on the console, and the progress bar, with a text: which job of a sweep it is."""
    global _label
    before, _label = _label, text
    try:
        yield
    finally:
        _label = before


def label() -> str:
    """The text that lines begin with; empty outside a sweep."""
    return _label


class ConsoleHandler(logging.StreamHandler[TextIO]):
    """Prints to a terminal what is visible, and nothing more once standard output is closed.

    Logging's own handler prints a traceback for every line then.
    """

    def format(self, record: logging.LogRecord) -> str:
        return printable(_label + super().format(record), self.stream)

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, BrokenPipeError):
            discard_output()
        elif isinstance(error, OSError):
            _tell_once(self, "standard output", error)
        else:
            super().handleError(record)


class LogFile(logging.FileHandler):
    """Tells once that the file cannot be written, such as on a full disk; the program runs on without those lines."""

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            _tell_once(self, self.baseFilename, error)
        else:
            super().handleError(record)


_told: set[logging.Handler] = set()


def _tell_once(handler: logging.Handler, name: str, error: OSError) -> None:
    if handler not in _told and sys.stderr is not None:
        _told.add(handler)
        with suppress(OSError):
            print(f"warning: {name} cannot be written: {error.strerror}; the run continues without it", file=sys.stderr)


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


def visible(text: str) -> str:
    """Text as a terminal may show it.

    A control character other than a line feed or a tab, and a character that turns the direction of writing, would
    command the terminal. It becomes its picture (ESC: U+241B) or U+FFFD.
    """
    return _CONTROL.sub(_picture, text)


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"


def printable(text: str, stream: TextIO | None = None) -> str:
    """The text as it is printed to a stream, by default standard output: to a terminal what is visible."""
    stream = stream or sys.stdout
    return visible(text) if stream.isatty() else text


def say(line: str) -> None:
    """Print a line to standard output; once that is closed, it is discarded, as the log's lines are."""
    try:
        print(printable(line), flush=True)
    except BrokenPipeError:
        discard_output()


def discard_output() -> None:
    """Discard what is still to be written to standard output, also while Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
