"""One start of a sweep: which of its jobs are to be done, and their being done."""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import TaskFunction
from omegaconf import DictConfig, OmegaConf

from lai.host.console import say
from lai.host.errors import UserError
from lai.host.process import Process
from lai.sweep.check import checked, name_of
from lai.sweep.ledger import FAILED, INTERRUPTED, NAME, WAITING, Job, Ledger
from lai.sweep.recorded import RecordedTask
from lai.sweep.space import check_space, of_the_job, space_of, to_keep

_BASIC = "hydra._internal.core_plugins.basic_launcher"  # by name: Hydra's search for plug-ins makes the class anew
_TRIES = 3
"""How often one start begins a job whose process is killed: another job's may take its pool of processes along."""


class Sweep:
    """A sweep in its folder.

    Args:
        config: what Hydra has composed for the whole sweep.
        arguments: the command line, as Hydra got it.
        is_alone: this process is not one of several that do each job together.

    Raises:
        UserError: the folder holds another sweep.
    """

    def __init__(
        self, config: DictConfig, loader: ConfigLoader, arguments: Sequence[str], *, is_alone: bool = True
    ) -> None:
        self.folder = Path(str(config.hydra.sweep.dir)).absolute()
        self.ledger = Ledger(self.folder / NAME)
        self._config, self._loader, self._arguments = config, loader, list(arguments)
        settings = OmegaConf.select(config, "sweep") or OmegaConf.create()
        self.metric = str(settings.get("metric", "val/loss"))
        self._max_failures, self._again = settings.get("max_failures"), bool(settings.get("retry_failed", False))
        known = self.ledger.jobs() if self.ledger.exists() else []
        self._is_new = not any(job.attempts for job in known)
        if not self._is_new:
            check_space(self.ledger, self._arguments)
            if not is_alone:
                raise UserError(
                    f"{self.folder} holds a sweep, and one under torchrun or srun is not resumed; start it without them"
                )
        self._start: int | None = None
        self._task: RecordedTask | None = None

    def add(self, jobs: Mapping[int, Sequence[str]]) -> None:
        """Check jobs, by their numbers, and enter those into the ledger that it does not have.

        Raises:
            UserError: a job's settings are wrong, or its files are another job's.
        """
        known = {} if self._is_new else {job.number: job for job in self.ledger.jobs()}
        jobs = {number: of_the_job(overrides) for number, overrides in jobs.items()}
        for number, overrides in jobs.items():
            if number in known and known[number].overrides != overrides:
                ours, theirs = set(overrides), set(known[number].overrides)
                raise UserError(
                    f"{self.folder} holds another sweep: job {number} has {' '.join(sorted(theirs - ours))} there, "
                    f"{' '.join(sorted(ours - theirs))} here; give this one a folder of its own"
                )
        found = checked(self._loader, self._config, jobs, known, self._arguments)
        if self._is_new:
            facts = {"space": space_of(self._arguments), "arguments": to_keep(self._arguments), "metric": self.metric}
            self.ledger.create(facts)
            self._is_new = False
        self.ledger.add(found)
        if self._start is None:
            self._start = self.ledger.begin(Process.this(), again=self._again)
            if self._task is not None:
                self._task.start = self._start

    def check_metric(self) -> None:
        """Refuse a search without results.

        Raises:
            UserError: the runs are not validated.
        """
        if OmegaConf.select(self._config, "trainer.limit_val_batches") == 0:
            raise UserError(
                f"this sweeper searches for the least {self.metric}, which trainer.limit_val_batches=0 leaves out; "
                "leave that out"
            )

    def recorded(self, task: TaskFunction) -> TaskFunction:
        """The program's function for a job, with the ledger kept."""
        self._task = RecordedTask(task, self.ledger.path, self._start or 0, self._max_failures, self.metric)
        return self._task

    def is_done(self) -> bool:
        """Whether all jobs have their results, or another program is about to have them."""
        return not any(job.state in (WAITING, INTERRUPTED, FAILED) for job in self.ledger.jobs())

    def free_number(self, jobs: Sequence[Sequence[str]], first: int) -> int:
        """The number of the first of these jobs: `first`, or behind all others where jobs there have these numbers."""
        known = {job.number: job for job in self.ledger.jobs()} if self.ledger.exists() else {}
        wanted = enumerate(jobs, first)
        if all(number not in known or known[number].overrides == of_the_job(job) for number, job in wanted):
            return first
        return max(known) + 1

    def do(self, launcher: Launcher, jobs: Sequence[Sequence[str]], first: int, *, raises: bool) -> Sequence[JobReturn]:
        """Have a launcher do those of the jobs that are to be done.

        Args:
            first: the number of the first one.
            raises: a job that failed is handed on as such; else its value is NaN.
        """
        numbers = range(first, first + len(jobs))
        if type(launcher).__module__ == _BASIC:  # it would keep what it has composed of all jobs until the end
            logging.getLogger(_BASIC).setLevel(logging.WARNING)
            for number in self._to_do(numbers):
                if self._has_failed_enough():
                    break
                say(name_of(number, jobs[number - first], dict(enumerate(jobs))))
                launcher.launch([jobs[number - first]], number)
        else:
            self._do_side_by_side(launcher, jobs, numbers)
        return [_returned(job, self.metric, raises=raises) for job in self.ledger.jobs() if job.number in numbers]

    def _do_side_by_side(self, launcher: Launcher, jobs: Sequence[Sequence[str]], numbers: range) -> None:
        """Launch all jobs from the first to the last that is to be done; those between that are over end at once."""
        for left in reversed(range(_TRIES)):
            to_do = self._to_do(numbers)
            if not to_do or self._has_failed_enough():
                return
            begin, end = to_do[0] - numbers.start, to_do[-1] - numbers.start + 1
            try:
                launcher.launch(jobs[begin:end], to_do[0])
                return
            except Exception:  # a process of its pool was killed
                if not left or not any(job.state == INTERRUPTED for job in self.ledger.jobs()):
                    raise
                time.sleep(1)

    def _has_failed_enough(self) -> bool:
        failed = sum(job.state == FAILED and job.start == self._start for job in self.ledger.jobs())
        return self._max_failures is not None and failed >= self._max_failures

    def _to_do(self, numbers: range) -> list[int]:
        jobs = (job for job in self.ledger.jobs() if job.number in numbers)
        return [job.number for job in jobs if job.state in (WAITING, INTERRUPTED)]


def _returned(job: Job, metric: str, *, raises: bool) -> JobReturn:
    returned = JobReturn(overrides=list(job.overrides), status=JobStatus.COMPLETED)
    value: Any = job.value(metric)
    if raises and (job.state == FAILED or math.isnan(value)):
        returned.status, value = JobStatus.FAILED, UserError(f"job {job.number}: {job.error or job.state}")
    returned.return_value = value
    return returned
