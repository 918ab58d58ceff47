"""The results of a sweep: jobs that differ in their seed alone are one row, the best row first; and as sweep.csv."""

import csv
import io
import math
import re
import shlex
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lai.config.hydra_errors import flags_of
from lai.host.files import atomic_write
from lai.sweep.ledger import DONE, FAILED, INTERRUPTED, RUNNING, STATES, WAITING, Job, Ledger
from lai.sweep.space import resume_command

CSV = "sweep.csv"
_ROWS = 20
"""Rows that are printed; sweep.csv has all jobs."""


@dataclass(frozen=True)
class Group:
    """Jobs that differ in their seed alone.

    Attributes:
        settings: the overrides that not all jobs of the sweep have, without the seed.
    """

    settings: tuple[str, ...]
    jobs: tuple[Job, ...]

    def values(self, metric: str) -> list[float]:
        """The metric of those that are done and have it."""
        found = (job.value(metric) for job in self.jobs if job.state == DONE)
        return [value for value in found if not math.isnan(value)]

    def mean(self, metric: str) -> float:
        """Infinite where no job has the metric."""
        values = self.values(metric)
        return statistics.fmean(values) if values else math.inf

    def shown(self, metric: str) -> str:
        """`5.1234`; of several seeds mean and standard error, `5.1234 ± 0.0021`; empty without a value."""
        values = self.values(metric)
        if not values:
            return ""
        error = f" ± {statistics.stdev(values) / math.sqrt(len(values)):.4f}" if len(values) > 1 else ""
        return f"{self.mean(metric):.4f}{error}"


def groups(jobs: Sequence[Job], metric: str) -> list[Group]:
    """The groups of a sweep, the least mean of the metric first; those without one last, by their numbers."""
    common = set.intersection(*(set(job.overrides) for job in jobs)) if jobs else set()
    found: dict[tuple[str, ...], list[Job]] = {}
    for job in jobs:
        settings = tuple(word for word in job.overrides if word not in common and _key(word) != "seed")
        found.setdefault(settings, []).append(job)
    made = (Group(settings, tuple(members)) for settings, members in found.items())
    return sorted(made, key=lambda group: (group.mean(metric), group.jobs[0].number))


def best(jobs: Sequence[Job], metric: str) -> Job | None:
    """The best job of the best group; None where none is done with this metric."""
    for group in groups(jobs, metric)[:1]:
        done = [job for job in group.jobs if job.state == DONE and not math.isnan(job.value(metric))]
        return min(done, key=lambda job: job.value(metric), default=None)
    return None


def command_of(job: Job, arguments: Sequence[str]) -> str:
    """The command that does a job again, as a run of its own.

    Args:
        arguments: those of the sweep.
    """
    hydra = [word for word in arguments if word.lstrip("+~").startswith(("hydra.", "hydra/"))]
    of_sweep = re.compile(r"[+~]*hydra[./](sweep|sweeper|launcher)\b")
    kept = [word for word in hydra if not of_sweep.match(word)]
    number = str(job.number)
    own = [word.replace("${hydra:job.num}", number) for word in job.overrides if not _key(word).startswith("sweep.")]
    return shlex.join(["python", "-m", "lai.train", *flags_of(arguments), *kept, *own])


def lines(ledger: Ledger) -> Iterator[str]:
    """The table, the best job's command, and a line for each job that is not done."""
    facts, jobs = ledger.facts(), ledger.jobs()
    folder, metric = _short(ledger.path.parent), str(facts["metric"])
    counts = Counter(job.state for job in jobs)
    states = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    yield _row("sweep", f"{folder}: {len(jobs)} job{'s' if len(jobs) != 1 else ''}: {states}")
    yield from _table(groups(jobs, metric), metric)
    if (winner := best(jobs, metric)) is not None:
        yield _row("best", f"job {winner.number}, {metric} {winner.value(metric):.4f}: {_short(winner.folder)}")
        yield _row("", command_of(winner, facts["arguments"]))
    for job in jobs:
        if job.state == FAILED:
            yield _row("failed", f"job {job.number}: {job.error}")
        elif job.state == RUNNING and job.process is not None:
            since = timedelta(seconds=int(time.time() - (job.started or 0)))
            yield _row("running", f"job {job.number} for {since}, in process {job.process.pid} of {job.process.host}")
    if left := [job for job in jobs if job.state in (WAITING, INTERRUPTED)]:
        yield _row("to do", f"job{'s' if len(left) > 1 else ''} {_numbers(left)}: {resume_command(folder)}")
    if counts[FAILED]:
        yield _row("try again", f"{resume_command(folder)} sweep.retry_failed=true")


def write_csv(ledger: Ledger) -> Path:
    """Write sweep.csv into the sweep's folder: a row a job."""
    jobs = ledger.jobs()
    keys = list(dict.fromkeys(_key(word) for job in jobs for word in job.overrides))
    metrics = sorted({name for job in jobs for name in job.result.get("metrics", {})})
    other = ("steps", "tokens_seen", "duration_s")
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["job", "state", *keys, *metrics, *other, "started", "ended", "attempts", "folder", "error"])
    for job in jobs:
        given = {_key(word): word.partition("=")[2] for word in job.overrides}
        values = (job.result.get("metrics", {}).get(name) for name in metrics)
        times = (_time(job.started), _time(job.ended))
        row = (given.get(key) for key in keys), values, (job.result.get(name) for name in other), times
        writer.writerow(
            [job.number, job.state, *(x for part in row for x in part), job.attempts, job.folder, job.error]
        )
    path = ledger.path.with_name(CSV)
    with atomic_write(path) as file:
        file.write(table.getvalue().encode())
    return path


def _table(found: Sequence[Group], metric: str) -> Iterator[str]:
    names = {name for group in found for job in group.jobs for name in job.result.get("metrics", {})}
    shown = [metric, *(name for name in ("val/loss", "val/bpb") if name != metric and name in names)]
    rows = [["", *shown, "done", "jobs", "settings"]]
    for place, group in enumerate(found[:_ROWS], 1):
        done = sum(job.state == DONE for job in group.jobs)
        numbers = _numbers(group.jobs)
        values = [group.shown(name) for name in shown]
        rank = str(place) if group.values(metric) else ""
        rows.append([rank, *values, f"{done}/{len(group.jobs)}", numbers, " ".join(group.settings)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)]
        yield _row("", "  ".join(cells).rstrip())
    if len(found) > _ROWS:
        yield _row("", f"and {len(found) - _ROWS} more: {CSV}")


def _numbers(jobs: Sequence[Job]) -> str:
    """Their numbers: `0-3 7`."""
    runs: list[list[int]] = []
    for job in jobs:
        if runs and job.number == runs[-1][-1] + 1:
            runs[-1].append(job.number)
        else:
            runs.append([job.number])
    return " ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _short(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def _row(name: str, text: str) -> str:
    return f"{name:<12}{text}"
