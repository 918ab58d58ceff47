"""Worker processes: functions run on all cores, their results in order.

A worker is this module as a program of its own, `python -m lai.host.workers`. It reads calls from its standard input
and writes results to its standard output. It imports only what the called functions need: neither the main program's
module, which may have no `__main__` guard, nor PyTorch. A worker ends when its input ends, so none outlives its parent.
"""

import os
import pickle
import signal
import struct
import subprocess
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from types import TracebackType
from typing import IO, Any, TypeVar

from lai.host.errors import UserError

T = TypeVar("T")

_LENGTH = struct.Struct("<Q")
_CALLS_AHEAD = 2  # a worker: so that none waits while the results are used


def available_cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Workers:
    """A pool of worker processes, which start at the first use; a context manager, whose end ends them.

    Args:
        count: the number of processes; below 2 there are none, and the functions run in this process.
    """

    def __init__(self, count: int) -> None:
        self.count = count if count > 1 and sys.executable else 1
        self._processes: list[_Worker] = []
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        self._threads: ThreadPoolExecutor | None = None

    def __enter__(self) -> "Workers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.end()
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
        self._processes.clear()

    def map(self, function: Callable[..., T], calls: Iterable[tuple[Any, ...]], shared: Any = None) -> Iterator[T]:
        """The results of `function(shared, *arguments)` for each tuple of arguments, in order.

        A worker receives `shared` once. Few calls are in flight at a time, so that memory does not grow with their
        number. Function, arguments and results must be picklable, the function by its name in a module.

        Raises:
            UserError: a worker was ended from outside; and whatever the function raises, as it raises it.
        """
        if self.count == 1:
            yield from (function(shared, *arguments) for arguments in calls)
            return
        shared = _Shared(shared)
        pending: deque[Future[T]] = deque()
        try:
            for arguments in calls:
                pending.append(self._submit(function, shared, arguments))
                if len(pending) >= self.count * _CALLS_AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

    def _submit(self, function: Callable[..., T], shared: "_Shared", arguments: tuple[Any, ...]) -> "Future[T]":
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self.count, "worker")
            for _ in range(self.count):
                process = _Worker()
                self._processes.append(process)
                self._idle.put(process)
        return self._threads.submit(self._call, function, shared, arguments)

    def _call(self, function: Callable[..., T], shared: "_Shared", arguments: tuple[Any, ...]) -> T:
        process = self._idle.get()
        try:
            result: T = process.call(function, shared, arguments)
            return result
        finally:
            self._idle.put(process)


IN_PROCESS = Workers(1)
"""No worker processes: everything runs in this process."""


class _Shared:
    """What all calls of a map share, pickled once."""

    def __init__(self, value: Any) -> None:
        self.data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


class _Worker:
    """One worker process, seen from its parent."""

    def __init__(self) -> None:
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "OPENBLAS_NUM_THREADS": "1",  # its threads would only take memory
        }
        # In a group of its own, so that Ctrl-C reaches the parent alone, which ends its workers.
        apart: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lai.host.workers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            **apart,
        )
        self._shared: _Shared | None = None  # what it has received

    def call(self, function: Callable[..., Any], shared: _Shared, arguments: tuple[Any, ...]) -> Any:
        """The function's result, or its error raised."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            new = None if shared is self._shared else shared.data
            self._shared = shared
            _write(self._process.stdin, (function, new, arguments))
            is_result, value = _read(self._process.stdout)
        except (OSError, EOFError, ValueError):
            raise UserError(
                f"a process that prepares text ended early (status {self._process.wait()}); "
                "close other programs if memory is short, and run again"
            ) from None
        if not is_result:
            raise value
        return value

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):  # what was not written yet is lost
                    stream.close()


def _write(stream: IO[bytes], value: object) -> None:
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def _read(stream: IO[bytes]) -> Any:
    header = stream.read(_LENGTH.size)
    if len(header) < _LENGTH.size:
        raise EOFError
    (size,) = _LENGTH.unpack(header)
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return pickle.loads(data)


def _portable(error: Exception) -> Exception:
    """The error as another process can read it, with the lines of its traceback as a note."""
    try:
        if type(pickle.loads(pickle.dumps(error))) is not type(error):
            raise TypeError
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    if not isinstance(error, UserError | OSError):
        error.add_note("".join(traceback.format_exception(error)))
    return error


def _serve(calls: IO[bytes], results: IO[bytes]) -> None:
    """Answer calls until there are no more."""
    shared = None
    while True:
        try:
            function, new, arguments = _read(calls)
        except EOFError:
            return
        try:
            if new is not None:
                shared = pickle.loads(new)
            answer = True, function(shared, *arguments)
        except Exception as error:
            answer = False, _portable(error)
        _write(results, answer)
        del function, new, arguments, answer  # not kept while waiting


def main() -> None:
    """The worker's program."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no result
    with suppress(BrokenPipeError):  # the parent has ended
        _serve(sys.stdin.buffer, results)


if __name__ == "__main__":
    main()
