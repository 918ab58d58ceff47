"""Errors as one line, and the status of a program that a signal has ended."""

import errno
import signal

import pytest

from lai.host.errors import Interrupted, UserError, first_line, message_of


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("seed is -1; it must be 0 or more"), "seed is -1; it must be 0 or more"),
        (OSError(errno.ENOSPC, "No space left on device", "a/b.bin"), "a/b.bin: No space left on device"),
        (
            UserError("In a worker.\nOriginal Traceback:\n  raise\nUserError: x is cut: y\n"),
            "x is cut: y",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "[Errno 28] No space left on device"),
    ],
)
def test_an_error_is_told_in_one_line_with_its_file(error, line):
    assert message_of(error) == line


@pytest.mark.parametrize(
    ("error", "line"), [(ValueError("one\ntwo"), "one"), (ValueError("  \n"), "ValueError"), (KeyError(), "KeyError")]
)
def test_of_an_error_of_other_software_the_first_line_is_told_or_its_class(error, line):
    assert first_line(error) == line


def test_an_interrupted_program_has_the_status_that_shells_expect():
    assert Interrupted().status == 130
    assert Interrupted(signal.SIGTERM).status == 143
