"""How tests start programs: in a process of its own, as a person would, or in a copy of a warm Python."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

WINDOWS_ENCODINGS = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "cp1252"}
"""Windows' defaults: cp1252 for what is printed to a pipe, and a code page (here ASCII) for files."""

_SERVER = Path(__file__).with_name("warm_python.py")


def python(*arguments, cwd=None, timeout=300, text=True, **environment):
    """Run `python ARGUMENTS` to its end.

    Args:
        environment: variables that the program gets besides this process's own; None takes one away.

    Returns:
        Its status and what it printed.
    """
    return subprocess.run(
        _command(arguments),
        cwd=cwd,
        env=_environment(environment),
        capture_output=True,
        text=text,
        timeout=timeout,
        check=False,
    )


def start_python(*arguments, cwd=None, environment: Mapping[str, str | None] | None = None, **options):
    """Start `python ARGUMENTS`, and give its `Popen`; `options` are those of `Popen`."""
    return subprocess.Popen(_command(arguments), cwd=cwd, env=_environment(environment or {}), **options)


def lai_train(*arguments, cwd, **environment):
    """`python -m lai.train` as a person types it."""
    return python("-m", "lai.train", *arguments, cwd=cwd, **environment)


def start_lai_train(*arguments, cwd, **options):
    """The same, started and not waited for."""
    return start_python("-m", "lai.train", *arguments, cwd=cwd, **options)


def on_terminal(command) -> tuple[bytes, str]:
    """What a program writes to its output, and what to its error output where that is a terminal."""
    terminal, error = pty.openpty()
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=error, timeout=120)
        assert done.returncode == 0
        os.set_blocking(terminal, False)
        try:
            seen = os.read(terminal, 1 << 16)
        except BlockingIOError:
            seen = b""
    finally:
        os.close(error)
        os.close(terminal)
    return done.stdout, seen.decode().replace("\r\n", "\n")


def shown_on_terminal(command) -> str:
    """What a program writes to both outputs where they are a terminal."""
    terminal, other = pty.openpty()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=other, stderr=other):
        os.close(other)
        seen = b""
        with suppress(OSError):  # Linux's way to say that the program has ended
            while piece := os.read(terminal, 1 << 16):
                seen += piece
    os.close(terminal)
    return seen.decode().replace("\r\n", "\n")


class WarmPython:
    """Runs Python programs in a folder, with "Hello!" as their standard input.

    They are copies of a process that has imported PyTorch and Lightning (warm_python.py), so they start at once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / ".output"
        environment = {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = start_python(_SERVER, environment=environment, **pipes)

    def run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
        """What `python ARGUMENTS` exits with, and what it prints.

        `arguments` begin with `-m MODULE`, `-c CODE` or a script's path.
        """
        job = {"arguments": list(arguments), "environment": dict(environment), "log": str(self._log)}
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(job | {"folder": str(self._folder)}) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        return status, self._log.read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        self._process.communicate()


def _command(arguments):
    return [sys.executable, *map(str, arguments)]


def _environment(changes):
    merged = {**os.environ, **changes}
    return {name: value for name, value in merged.items() if value is not None}
