"""Whether a process of a number is still the one that was meant."""

import subprocess
import sys
from dataclasses import replace

import pytest

from lai.host import process
from lai.host.process import Process


def test_this_process_is_alive():
    assert Process.this().is_alive() is True


def test_a_process_that_has_ended_is_not_alive_even_before_anybody_has_waited_for_it():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        found = replace(Process.this(), pid=child.pid, born=process._born(child.pid))
        assert found.is_alive() is True
        child.kill()
        child.stdin.close()
        child.wait()
        assert found.is_alive() is False


def test_another_process_of_the_same_number_is_not_it():
    this = Process.this()
    space, _, time = this.born.rpartition("/")
    assert replace(this, born=f"{space}/{int(time) - 1}").is_alive() is False


@pytest.mark.parametrize("change", [{"host": "elsewhere"}, {"born": "another-start-of-the-machine/1/5"}])
def test_a_process_of_another_machine_is_not_judged(change):
    assert replace(Process.this(), **change).is_alive() is None


def test_the_time_of_a_start_is_the_systems_where_there_is_no_proc(monkeypatch):
    monkeypatch.setattr(process, "Path", lambda _: type("Missing", (), {"is_file": lambda self: False})())
    shown = subprocess.CompletedProcess([], 0, stdout="Tue Dec  1 03:55:12 2026\n")
    monkeypatch.setattr(process.subprocess, "run", lambda *_, **__: shown)
    assert process._born(7) == "/Tue Dec  1 03:55:12 2026"
