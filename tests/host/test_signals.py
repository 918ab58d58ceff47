"""Signals that ask a program to stop, and the handlers that it gives back."""

import os
import signal

import pytest

from lai.host.errors import Interrupted
from lai.host.signals import received, stop_signals, wait_for_signals, wait_no_longer

ASKED = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2]


@pytest.fixture(autouse=True)
def waits_for_nothing():
    yield
    wait_no_longer()


@pytest.mark.parametrize("number", ASKED)
def test_a_signal_ends_what_waits_for_none_with_its_own_status(number):
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as stopped, stop_signals():
        os.kill(os.getpid(), number)
    assert stopped.value.status == 128 + number
    assert signal.getsignal(number) == before


def test_a_signal_is_noted_where_a_run_waits_for_it():
    noted = []
    with stop_signals():
        wait_for_signals(noted.append)
        for _ in range(3):  # programs such as timeout send it to the process and to its group
            os.kill(os.getpid(), signal.SIGTERM)
        assert received() == signal.SIGTERM
    assert noted == [signal.SIGTERM]


def test_a_second_ctrl_c_raises_with_the_status_of_the_first_signal(monkeypatch):
    with pytest.raises(Interrupted) as stopped, stop_signals():
        wait_for_signals(lambda number: None)
        os.kill(os.getpid(), signal.SIGTERM)
        monkeypatch.setattr("lai.host.signals._PAUSE", 0)
        os.kill(os.getpid(), signal.SIGINT)
    assert stopped.value.status == 128 + signal.SIGTERM


def test_a_signal_that_nobody_has_heard_ends_the_next_job():
    with pytest.raises(Interrupted), stop_signals():
        with stop_signals():
            wait_for_signals(lambda number: None)
            os.kill(os.getpid(), signal.SIGUSR1)
            wait_no_longer()
        with stop_signals():
            pytest.fail("the next job of the sweep has started")


def test_what_the_caller_ignores_or_handles_itself_is_left_alone():
    heard = []
    before = [signal.signal(signal.SIGHUP, signal.SIG_IGN), signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))]
    try:
        with stop_signals():
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGHUP, before[0])
        signal.signal(signal.SIGUSR1, before[1])
    assert heard == [1]
