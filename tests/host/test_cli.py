"""How programs end: statuses and one-line errors."""

import argparse

import pytest
from processes import WINDOWS_ENCODINGS, python

from lai.host.cli import whole_number


def test_an_error_with_hungarian_words_is_one_line_whatever_the_locale():
    done = python(
        "-c",
        "from lai.host.cli import *\ndef f(): raise UserError('f\\u0151 \\u00fat')\nrun_program(f)",
        text=False,
        **WINDOWS_ENCODINGS,
    )
    assert (done.returncode, done.stderr.decode("utf-8").split()) == (2, ["error:", "fő", "út"])


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ("return None", 0, ""),
        ("return 1", 1, ""),
        ("raise UserError('no')", 2, "error: no\n"),
        ("raise OSError(2, 'No such file', 'x.txt')", 2, "error: x.txt: No such file\n"),
        ("raise MemoryError", 2, "error: there is not enough memory\n"),
        ("raise KeyboardInterrupt", 130, "interrupted\n"),
        ("raise BrokenPipeError", 1, ""),
    ],
)
def test_a_program_ends_with_a_status_and_at_most_one_line(body, status, error):
    done = python("-c", f"from lai.host.cli import *\ndef f(): {body}\nrun_program(f)")
    assert (done.returncode, done.stderr) == (status, error)


@pytest.mark.parametrize("text", ["4", "-1", "x", "1.5", ""])
def test_a_number_below_the_minimum_or_not_whole_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match=f"{text} is not a whole number from 5 on"):
        whole_number(5)(text)


def test_a_number_from_the_minimum_on_is_read():
    assert [whole_number(0)(text) for text in ("0", "+7", "007")] == [0, 7, 7]
