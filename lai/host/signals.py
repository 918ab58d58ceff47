"""Signals that ask a program to stop: each becomes an `Interrupted`, at once or where the program waits for it."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from lai.host.errors import Interrupted

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")  # Windows has the first two
_LEFT_ALONE = ("SIGHUP", "SIGUSR1", "SIGUSR2")  # where the caller ignores them (nohup) or has handlers of its own
_PAUSE = 0.5
"""Seconds within which a second Ctrl-C is the same: programs pass on what a terminal has sent to all processes."""

_before: dict[int, Any] = {}  # the caller's handlers while ours are set
_terminals: list[int] = []
_note: Callable[[int], None] | None = None
_received: tuple[int, float] | None = None


@contextmanager
def stop_signals() -> Iterator[None]:
    """Handle Ctrl-C, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2; the caller's handlers are given back at the end.

    The last three only where the caller neither ignores them, as `nohup` does, nor has handlers of its own. Inside
    another such context, and outside the main thread, this changes nothing.

    Raises:
        Interrupted: a signal has come while nobody waited for it, or earlier and nobody has heard it.
    """
    global _received, _terminals
    if _before:
        if _received is not None:
            raise Interrupted(_received[0])
        yield
        return
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _received = None
    _terminals = [number for number in (1, 2) if os.isatty(number)]
    for name in _NAMES:
        number = getattr(signal, name, None)
        if number is None:
            continue
        handler = signal.getsignal(number)
        if handler is None or (name in _LEFT_ALONE and handler != signal.SIG_DFL):
            continue
        _before[number] = handler
    take_signals()
    try:
        yield
    finally:
        for number, handler in _before.items():
            signal.signal(number, handler)
        _before.clear()
        _received = None


def take_signals() -> None:
    """Set our handlers again, after other software has set its own."""
    if threading.current_thread() is threading.main_thread():
        for number in _before:
            signal.signal(number, _handle)


def wait_for_signals(note: Callable[[int], None]) -> None:
    """From now on call `note` with the first signal's number instead of raising; a second Ctrl-C raises."""
    global _note
    _note = note
    take_signals()


def wait_no_longer() -> None:
    """From now on a signal raises at once."""
    global _note
    _note = None


def received() -> int | None:
    """The number of the first signal since `stop_signals`; None where there was none."""
    return None if _received is None else _received[0]


def ignore_in_worker() -> None:
    """In a process that loads batches: the training process needs batches until it stops.

    A terminal and a cluster send their signals to all processes. SIGTERM, by which a worker is also ended if it hangs,
    ends it 90 seconds later.
    """
    for name in _NAMES:
        if (number := getattr(signal, name, None)) is not None:
            signal.signal(number, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, lambda *_: signal.alarm(90))
    else:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _handle(number: int, _: FrameType | None) -> None:
    global _received
    now = time.monotonic()
    if number == getattr(signal, "SIGHUP", None):
        _discard_terminals()
    if _received is None:
        _received = (number, now)
        if _note is None:
            raise Interrupted(number)
        _note(number)
    elif _note is None or (number == signal.SIGINT and now - _received[1] > _PAUSE):
        raise Interrupted(_received[0])


def _discard_terminals() -> None:
    """Discard further output to a terminal that is gone: each line would be an error."""
    for number in _terminals:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    with suppress(OSError):
        sys.stdout.flush()
