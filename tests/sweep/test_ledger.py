"""The ledger of a sweep: what it keeps, who gets a job, and what a crash leaves."""

import multiprocessing
import os
import signal
import sqlite3
import time
from dataclasses import replace

import pytest
from filelock import FileLock

from lai.host.errors import UserError
from lai.host.process import Process
from lai.sweep import ledger as module
from lai.sweep.ledger import DONE, FAILED, INTERRUPTED, RUNNING, WAITING, Job, Ledger

ME = Process.this()
FACTS = {"space": ["seed=1,2"], "arguments": ["seed=1,2"], "metric": "val/loss"}


@pytest.fixture
def ledger(tmp_path):
    made = Ledger(tmp_path / "sweep.db")
    made.create(FACTS)
    made.add(
        [Job(number, (f"seed={number}",), tmp_path / str(number), tmp_path / f"{number}.bin") for number in (0, 1)]
    )
    return made


def states(ledger):
    return [job.state for job in ledger.jobs()]


def test_a_job_waits_runs_and_is_done_with_its_result(ledger, tmp_path):
    start = ledger.begin(ME)
    assert states(ledger) == [WAITING, WAITING]
    before = ledger.claim(1, ME, start)
    assert (before.state, before.attempts, before.overrides) == (WAITING, 0, ("seed=1",))
    running = ledger.jobs()[1]
    assert (running.state, running.process, running.attempts, running.start) == (RUNNING, ME, 1, start)
    ledger.end(1, DONE, {"metrics": {"val/loss": 1.5}})
    done = ledger.jobs()[1]
    assert (done.state, done.value("val/loss"), done.export) == (DONE, 1.5, tmp_path / "1.bin")
    assert done.value("val/bpb") != done.value("val/bpb")
    assert done.ended >= done.started
    assert states(Ledger(ledger.path)) == [WAITING, DONE]
    assert ledger.facts() == {"format": 1, **FACTS}


def test_a_job_that_is_done_failed_or_running_is_not_given_again(ledger):
    start = ledger.begin(ME)
    assert ledger.claim(0, ME, start)
    assert ledger.claim(0, ME, start) is None
    ledger.end(0, FAILED, error="the line")
    assert ledger.claim(0, ME, start) is None
    assert ledger.jobs()[0].error == "the line"
    assert ledger.claim(1, ME, start)
    ledger.end(1, DONE)
    assert ledger.claim(1, ME, start) is None


def test_failed_jobs_are_given_again_on_request(ledger):
    ledger.claim(0, ME, ledger.begin(ME))
    ledger.end(0, FAILED, error="the line")
    ledger.begin(ME)
    assert states(ledger) == [FAILED, WAITING]
    start = ledger.begin(ME, again=True)
    assert states(ledger) == [INTERRUPTED, WAITING]
    assert ledger.claim(0, ME, start).attempts == 1
    assert ledger.jobs()[0].error is None


def test_failures_of_this_start_end_it_and_those_of_earlier_ones_do_not(ledger):
    first = ledger.begin(ME)
    ledger.claim(0, ME, first)
    ledger.end(0, FAILED, error="the line")
    assert ledger.claim(1, ME, first, max_failures=1) is None
    assert ledger.claim(1, ME, ledger.begin(ME), max_failures=1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a copy of this process")
def test_a_job_of_a_killed_process_is_interrupted_and_given_to_another(ledger):
    start = ledger.begin(ME)
    child = os.fork()
    if child == 0:
        ledger.claim(0, Process.this(), start)
        signal.pause()
    while ledger.jobs()[0].state != RUNNING:
        time.sleep(0.01)
    assert ledger.claim(0, ME, start) is None
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert states(ledger) == [INTERRUPTED, WAITING]
    assert ledger.claim(0, ME, start).attempts == 1


def test_a_job_of_another_machine_runs_while_the_lock_of_its_folder_is_held(ledger, tmp_path, monkeypatch):
    ledger.claim(0, replace(ME, host="elsewhere"), ledger.begin(ME))
    assert states(ledger)[0] == RUNNING  # it may be about to lock its folder
    monkeypatch.setattr(module, "_PATIENCE", 0)
    (tmp_path / "0").mkdir()
    with FileLock(tmp_path / "0" / ".lock"):
        assert states(ledger)[0] == RUNNING
    assert states(ledger)[0] == INTERRUPTED


def _claim_all(ledger, start, given, ended):
    for number in range(40):
        if ledger.claim(number, Process.this(), start):
            given.put(number)
    ended.wait()  # until all have asked: the jobs of a process that has ended are given again


def test_of_several_processes_one_gets_a_job(ledger, tmp_path):
    ledger.add([Job(number, (f"seed={number}",), tmp_path / str(number)) for number in range(40)])
    context = multiprocessing.get_context("fork")
    start, given, ended = ledger.begin(ME), context.SimpleQueue(), context.Barrier(3)
    processes = [context.Process(target=_claim_all, args=(ledger, start, given, ended)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    found = []
    while not given.empty():
        found.append(given.get())
    assert sorted(found) == [*range(40)]


def test_a_kill_inside_a_change_leaves_the_ledger_as_it_was(ledger):
    child = os.fork()
    if child == 0:
        with ledger._change() as db:
            db.execute("UPDATE jobs SET state = 'done'")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert states(ledger) == [WAITING, WAITING]


def test_jobs_that_are_there_stay_as_they_are(ledger, tmp_path):
    ledger.claim(0, ME, ledger.begin(ME))
    ledger.end(0, DONE)
    ledger.create(FACTS)  # a second start, at the same moment
    ledger.add([Job(number, ("other",), tmp_path / "other") for number in (0, 2)])
    assert [job.overrides for job in ledger.jobs()] == [("seed=0",), ("seed=1",), ("other",)]
    assert states(ledger) == [DONE, WAITING, WAITING]


def test_a_sweep_that_was_never_begun_gives_way_to_another(ledger):
    ledger.create({**FACTS, "space": ["seed=7"]})
    assert ledger.jobs() == []
    assert ledger.facts()["space"] == ["seed=7"]


def test_a_sweep_that_was_begun_does_not_give_way(ledger):
    ledger.claim(0, ME, ledger.begin(ME))
    with pytest.raises(UserError, match="give this one a new folder"):
        ledger.create({**FACTS, "space": ["seed=7"]})
    assert ledger.facts()["space"] == FACTS["space"]


@pytest.mark.parametrize("content", [b"no database at all, but a text", b""])
def test_what_is_no_ledger_is_one_line(tmp_path, content):
    (tmp_path / "sweep.db").write_bytes(content * 100)
    with pytest.raises(UserError, match="ledger of a sweep") as found:
        Ledger(tmp_path / "sweep.db").jobs()
    assert "\n" not in str(found.value)


def test_a_ledger_that_may_not_be_written_can_be_read(ledger):
    with sqlite3.connect(f"file:{ledger.path}?mode=ro", uri=True) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    ledger.path.chmod(0o444)
    assert states(ledger) == [WAITING, WAITING]
