"""The ledger of a sweep: which jobs there are, what has become of each, and which process does it. One SQLite file.

Several processes may read and write it at once; each change is one transaction, which a crash leaves whole or undone.
"""

import json
import math
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lai.host.errors import UserError
from lai.host.process import Process

NAME = "sweep.db"
"""The file in a sweep's folder."""

WAITING, RUNNING, DONE, FAILED, PRUNED, INTERRUPTED = "waiting", "running", "done", "failed", "pruned", "interrupted"
STATES = (DONE, PRUNED, RUNNING, INTERRUPTED, WAITING, FAILED)

_FORMAT = 1
_PATIENCE = 60.0
"""Seconds that a process waits for another one's change; in which a job may not have locked its folder yet, too."""

_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS starts (
    id INTEGER PRIMARY KEY, time REAL NOT NULL, pid INTEGER NOT NULL, born TEXT NOT NULL, host TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY, overrides TEXT NOT NULL, state TEXT NOT NULL, folder TEXT NOT NULL, export TEXT,
    attempts INTEGER NOT NULL DEFAULT 0, start INTEGER, pid INTEGER, born TEXT, host TEXT, started REAL, ended REAL,
    result TEXT, error TEXT
);
"""


@dataclass(frozen=True)
class Job:
    """A job of a sweep.

    Attributes:
        export: the model file, whole path; None for a job that writes none.
        attempts: how often it was begun.
        start: which start of the sweep began it last, counted from 1.
        started: when it was begun last, in seconds since 1970; `ended` as well.
        result: of a job that is done: `value`, which sweepers get, `metrics`, and what else run.json says of it.
        error: of a job that failed, the line.
    """

    number: int
    overrides: tuple[str, ...]
    folder: Path
    export: Path | None = None
    state: str = WAITING
    attempts: int = 0
    start: int | None = None
    process: Process | None = None
    started: float | None = None
    ended: float | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None

    def value(self, metric: str) -> float:
        """A metric of a job that is done; NaN where it has none."""
        return float(self.result.get("metrics", {}).get(metric, math.nan))


class Ledger:
    """The ledger in a file; the file is open only while it is read or written, so that forks share nothing.

    Raises:
        UserError: the file is damaged or no ledger, cannot be written, or is held for a minute by others.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        return self.path.is_file() and self.path.stat().st_size > 0

    def create(self, facts: Mapping[str, Any]) -> None:
        """Make the file with what is known of the sweep; of one whose jobs were never begun, other facts are forgotten.

        Raises:
            UserError: jobs have been begun in a sweep of other facts.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        rows = [(name, json.dumps(value)) for name, value in {"format": _FORMAT, **facts}.items()]
        with self._change(makes=True) as db:
            if sorted(db.execute("SELECT name, value FROM facts")) == sorted(rows):  # another start's, just now
                return
            if db.execute("SELECT 1 FROM jobs WHERE attempts > 0").fetchone():
                raise UserError(
                    f"{self.path} is another sweep's, which has just been begun; give this one a new folder"
                )
            db.execute("DELETE FROM jobs")
            db.execute("DELETE FROM facts")
            db.executemany("INSERT INTO facts VALUES (?, ?)", rows)

    def facts(self) -> dict[str, Any]:
        with self._change(reads=True) as db:
            return {name: json.loads(value) for name, value in db.execute("SELECT name, value FROM facts")}

    def begin(self, process: Process, *, again: bool = False) -> int:
        """Note that a program starts or resumes the sweep; gives the number of the start.

        Args:
            again: jobs that failed are to be tried again.
        """
        with self._change() as db:
            if again:
                db.execute("UPDATE jobs SET state = ? WHERE state = ?", (INTERRUPTED, FAILED))
            row = (time.time(), process.pid, process.born, process.host)
            found = db.execute("INSERT INTO starts (time, pid, born, host) VALUES (?, ?, ?, ?)", row)
            assert found.lastrowid is not None
            return found.lastrowid

    def add(self, jobs: Sequence[Job]) -> None:
        """Add jobs that wait; those that are there already stay as they are."""
        with self._change() as db:
            db.executemany(
                "INSERT OR IGNORE INTO jobs (number, overrides, state, folder, export) VALUES (?, ?, ?, ?, ?)",
                [
                    (job.number, json.dumps(job.overrides), WAITING, str(job.folder), job.export and str(job.export))
                    for job in jobs
                ],
            )

    def jobs(self) -> list[Job]:
        """All jobs by their numbers; one whose process has ended without a word is interrupted."""
        with self._change(reads=True) as db:
            return [_seen(_job(row)) for row in db.execute("SELECT * FROM jobs ORDER BY number")]

    def claim(self, number: int, process: Process, start: int, max_failures: int | None = None) -> Job | None:
        """Take a job that is to be done: it is running now. Of several processes that ask, one gets it.

        Args:
            start: the number of this start of the sweep.
            max_failures: failed jobs of this start from which on no other is begun.

        Returns:
            The job as it was before; None where it is done, failed, pruned or running, or no other is to be begun.
        """
        with self._change() as db:
            job = _seen(_job(db.execute("SELECT * FROM jobs WHERE number = ?", (number,)).fetchone()))
            failed = db.execute("SELECT count(*) FROM jobs WHERE state = ? AND start = ?", (FAILED, start)).fetchone()
            if job.state not in (WAITING, INTERRUPTED) or (max_failures is not None and failed[0] >= max_failures):
                return None
            db.execute(
                "UPDATE jobs SET state = ?, attempts = attempts + 1, start = ?, pid = ?, born = ?, host = ?, "
                "started = ?, ended = NULL, error = NULL WHERE number = ?",
                (RUNNING, start, process.pid, process.born, process.host, time.time(), number),
            )
            return job

    def end(self, number: int, state: str, result: Mapping[str, Any] | None = None, error: str | None = None) -> None:
        """Note what has become of a job that this process has claimed."""
        with self._change() as db:
            db.execute(
                "UPDATE jobs SET state = ?, ended = ?, result = ?, error = ? WHERE number = ?",
                (state, time.time(), json.dumps(result or {}), error, number),
            )

    @contextmanager
    def _change(self, *, makes: bool = False, reads: bool = False) -> Iterator[sqlite3.Connection]:
        """One transaction, which no other process interrupts; one that only reads needs no right to write.

        SQLite's journal of old pages is used rather than a write-ahead log, which network file systems lack memory for.
        """
        if not makes and not self.exists():
            raise UserError(f"{self.path} is missing; expected the ledger of a sweep")
        try:
            with closing(sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)) as db:
                if makes:
                    db.executescript(_TABLES)
                db.execute("BEGIN" if reads else "BEGIN IMMEDIATE")
                try:
                    yield db
                except BaseException:
                    db.execute("ROLLBACK")
                    raise
                db.execute("COMMIT")
        except (sqlite3.Error, json.JSONDecodeError) as error:
            raise UserError(f"{self.path} cannot be used as the ledger of a sweep: {error}") from None


def _job(row: Sequence[Any]) -> Job:
    number, overrides, state, folder, export, attempts, start, pid, born, host, started, ended, result, error = row
    return Job(
        number,
        tuple(json.loads(overrides)),
        Path(folder),
        export and Path(export),
        state,
        attempts,
        start,
        None if pid is None else Process(pid, born, host),
        started,
        ended,
        json.loads(result) if result else {},
        error,
    )


def _seen(job: Job) -> Job:
    """The job as it is: it does not run where its process has ended."""
    return replace(job, state=INTERRUPTED) if job.state == RUNNING and not _runs(job) else job


def _runs(job: Job) -> bool:
    """Whether the process of a job lives: on another machine, whether a process holds the lock of the job's folder."""
    assert job.process is not None and job.started is not None
    is_alive = job.process.is_alive()
    if is_alive is not None or time.time() - job.started < _PATIENCE:
        return is_alive is not False
    lock = FileLock(job.folder / ".lock", timeout=0)
    if not (job.folder / ".lock").exists():
        return False
    try:
        lock.acquire()
    except Timeout:
        return True
    lock.release()
    return False
