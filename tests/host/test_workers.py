"""Worker processes: results in order, errors as they are raised, and no process left behind."""

import operator
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lai.host.errors import UserError
from lai.host.workers import Workers, available_cores
from lai.tokenizer.train import _check_sizes

_PROGRAM_WITHOUT_GUARD = """
import operator
from lai.host.workers import Workers
with Workers(2) as workers:
    print(list(workers.map(operator.add, [(1,), (2,)], 1)))
"""

_PROGRAM_THAT_WAITS = """
import operator, signal
from lai.host.cli import run_program
from lai.host.workers import Workers

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it

def main():
    with Workers(2) as workers:
        for total in workers.map(operator.add, ((number,) for number in range(10**9)), 1):
            if total == 9:
                print(*(worker._process.pid for worker in workers._processes), flush=True)

run_program(main)
"""


def test_results_come_in_the_order_of_the_calls() -> None:
    texts = [b"x" * (number if number % 3 else 300_000) for number in range(40)]
    with Workers(3) as workers:
        assert list(workers.map(operator.add, ((text,) for text in texts), b"y")) == [b"y" + text for text in texts]


def test_a_worker_imports_neither_the_main_program_nor_torch() -> None:
    answer = subprocess.run([sys.executable, "-c", _PROGRAM_WITHOUT_GUARD], capture_output=True, encoding="utf-8")
    assert (answer.stdout, answer.stderr) == ("[2, 3]\n", "")
    with Workers(2) as workers:
        (imported,) = workers.map(_imported_with_preparing, [()])
    assert {"torch", "hydra", "lightning"} & imported == set()


def _imported_with_preparing(_: None) -> set[str]:
    import lai.data.prepare  # noqa: F401

    return set(sys.modules)


def test_an_error_in_a_worker_is_raised_as_it_is() -> None:
    with Workers(2) as workers:
        with pytest.raises(ZeroDivisionError):
            list(workers.map(divmod, [(3,), (0,)], 7))
        with pytest.raises(UserError, match="vocab_size is 5"):
            list(workers.map(_check_sizes, [(2,)], 5))
        assert list(workers.map(divmod, [(3,)], 7)) == [(2, 1)]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_worker_that_is_killed_ends_the_work_with_one_line() -> None:
    with Workers(2) as workers, pytest.raises(UserError, match="ended early"):
        for _ in workers.map(divmod, ((3,) for _ in range(100)), 7):
            for worker in workers._processes:
                worker._process.kill()  # SIGKILL; a result of before may come, and this once more, after its end


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_its_parent(number: signal.Signals) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM_THAT_WAITS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    )
    assert program.stdout is not None and program.stderr is not None
    workers = [int(word) for word in program.stdout.readline().split()]
    program.send_signal(number)
    try:
        errors = program.communicate(timeout=60)[1]
    finally:
        program.kill()
    if number == signal.SIGINT:
        assert (program.returncode, errors) == (130, "interrupted\n")
    for worker in workers:
        while _runs(worker):
            pass


def _runs(process: int) -> bool:
    """Whether a process runs; one that has ended and waits for its new parent does not."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_available_cores_are_those_of_this_process() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
