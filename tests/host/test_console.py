"""What is printed arrives as UTF-8 in pipes; a full disk is told once."""

import io
import logging
from contextlib import suppress
from pathlib import Path

import pytest
from processes import WINDOWS_ENCODINGS, python

from lai.host.console import ConsoleHandler, LogFile, label, labelled, printable, visible

FULL = Path("/dev/full")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_hungarian_text_is_printed_to_a_pipe_as_utf_8_whatever_the_locale():
    done = python(
        "-c",
        "from lai.host.console import prepare_output; prepare_output(); print('f\\u0151 \\u00fat')",
        text=False,
        **WINDOWS_ENCODINGS,
    )
    assert done.stdout.decode("utf-8").split() == ["fő", "út"], done.stderr


def test_control_characters_are_shown_not_obeyed():
    assert visible("ő\t„x”\n🙂\xa0") == "ő\t„x”\n🙂\xa0"
    assert visible("\x00\x1b[2J\r\x7f") == "\u2400\u241b[2J\u240d\u2421"
    assert visible("\x80\x9b\x9f\u202e\u2066\udc9b") == "\ufffd" * 6


def test_only_a_terminal_gets_other_characters_than_are_there():
    assert printable("\x1b[2J", Terminal()) == "\u241b[2J"
    assert printable("\x1b[2J", io.StringIO()) == "\x1b[2J"
    for stream, shown in ((Terminal(), "file \u241b.txt\n"), (io.StringIO(), "file \x1b.txt\n")):
        ConsoleHandler(stream).emit(logging.makeLogRecord({"msg": "file %s", "args": ("\x1b.txt",)}))
        assert stream.getvalue() == shown


@pytest.mark.skipif(not FULL.exists(), reason="the system has no device that is always full")
@pytest.mark.parametrize("kind", ["a file", "standard output"])
def test_a_full_disk_under_the_log_is_told_once_and_the_program_runs_on(capsys, kind):
    stream = FULL.open("w") if kind == "standard output" else None
    handler = LogFile(FULL) if stream is None else ConsoleHandler(stream)
    for number in range(3):
        handler.handle(logging.LogRecord("lai", logging.INFO, "", 0, f"line {number}", None, None))
    name = "/dev/full" if stream is None else "standard output"
    expected = f"warning: {name} cannot be written: No space left on device; the run continues without it\n"
    assert capsys.readouterr().err == expected
    for open_ in (stream, handler):
        with suppress(OSError):
            open_.close() if open_ else None


def test_a_label_begins_each_line_of_the_log_and_ends_with_its_block():
    stream = io.StringIO()
    handler = ConsoleHandler(stream)
    record = logging.LogRecord("lai", logging.INFO, "", 1, "a line", (), None)
    with labelled("job 3  "):
        assert label() == "job 3  "
        handler.emit(record)
    handler.emit(record)
    assert stream.getvalue() == "job 3  a line\na line\n"


def test_a_line_that_is_said_to_a_closed_output_does_not_stop_the_program():
    code = (
        "import os; from lai.host.console import say; say('a'); os.dup2(os.pipe()[1], 1); say('b' * 9); print(end='')"
    )
    closed = code.replace("os.dup2(os.pipe()[1], 1)", "r, w = os.pipe(); os.close(r); os.dup2(w, 1)")
    done = python("-c", closed + "; say('c'); raise SystemExit(7)")
    assert (done.returncode, done.stdout, done.stderr) == (7, "a\n", "")
