"""A Python that has imported PyTorch and Lightning once and forks itself for each program, which then starts at once.

It computes nothing itself, so each fork is as good as a new process: the state of one program never reaches the next.
`processes.WarmPython` starts it and sends it the programs, one line of JSON each.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import sys
import traceback
import warnings
from contextlib import suppress
from typing import Any, NoReturn

_WARM = ("lightning.pytorch.loggers", "torch.utils.tensorboard", "matplotlib.pyplot", "sentencepiece", "lai.train")
_SECONDS = 120  # that a program may take


def _serve() -> None:
    for name in _WARM:
        with suppress(ImportError):  # the program that needs it says so
            importlib.import_module(name)
    gc.freeze()  # or a fork's first collection would copy all of its memory
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _end(_status_of(json.loads(line)))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _status_of(job: dict[str, Any]) -> int:
    """Be the program of this job, and give its exit status."""
    try:
        _become(job)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _end(status: int) -> NoReturn:
    """End this process without taking PyTorch apart piece by piece, which takes longer than many a program."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _become(job: dict[str, Any]) -> None:
    signal.alarm(_SECONDS)
    os.chdir(job["folder"])
    os.environ.update(job["environment"])
    log = os.open(job["log"], os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    reading, writing = os.pipe()
    os.write(writing, b"Hello!\n")
    os.close(writing)
    os.dup2(reading, 0)
    sys.stdin = open(0, encoding="utf-8")  # noqa: SIM115
    sys.path[0] = ""
    first, *rest = job["arguments"]
    if first in ("-m", "-c"):
        name, *rest = rest
        sys.argv = [name, *rest]
        if first == "-m":
            warnings.filterwarnings("ignore", ".*found in sys.modules", RuntimeWarning)
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        else:
            exec(compile(name, "<the page>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = [first, *rest]
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    _serve()
