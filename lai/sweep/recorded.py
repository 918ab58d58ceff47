"""A job that keeps the ledger: it is claimed, done or resumed, and what became of it is noted, in whatever process."""

import logging
import math
import os
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from lai.host.console import labelled
from lai.host.errors import UserError, first_line, message_of
from lai.host.files import read_json
from lai.host.process import Process
from lai.run.folders import move_aside
from lai.sweep.jobs import forget_job
from lai.sweep.ledger import DONE, FAILED, INTERRUPTED, Ledger
from lai.sweep.space import of_the_job

log = logging.getLogger(__name__)

_MANIFEST = "run.json"
_KEPT = ("metrics", "steps", "tokens_seen", "duration_s")  # of the manifest


@dataclass
class RecordedTask:
    """What Hydra calls for a job in place of the program's own function; launchers send it to other processes.

    Attributes:
        task: the program's own; it returns the value that the sweeper gets.
        ledger: the file.
        start: the number of this start of the sweep.
    """

    task: TaskFunction
    ledger: Path
    start: int
    max_failures: int | None
    metric: str

    def __call__(self, composed: DictConfig) -> float:
        hydra, ledger = HydraConfig.get(), Ledger(self.ledger)
        number, folder, overrides = int(hydra.job.num), Path(hydra.runtime.output_dir), list(hydra.overrides.task)
        job = ledger.claim(number, Process.this(), self.start, self.max_failures)
        if job is None:
            return math.nan
        if job.attempts and (result := _finished(folder, overrides)) is not None:  # killed before it was noted
            return self._done(ledger, number, result)
        with labelled(f"job {number}  "):
            try:
                if job.attempts:
                    _resume(composed, folder)
                value = self.task(composed)
            except KeyboardInterrupt:
                ledger.end(number, INTERRUPTED)
                raise
            except (Exception, SystemExit) as error:
                line = _line(error)
                log.error("error: %s", line)
                ledger.end(number, FAILED, error=line)
                forget_job(error)
                raise UserError(line) from None
            return self._done(ledger, number, _finished(folder, overrides) or {"metrics": {self.metric: value}})

    def _done(self, ledger: Ledger, number: int, result: Mapping[str, Any]) -> float:
        value = float(result["metrics"].get(self.metric, math.nan))
        metrics = {name: found for name, found in result["metrics"].items() if math.isfinite(found)}
        ledger.end(number, DONE, {**result, "metrics": metrics})
        return value


def _finished(folder: Path, overrides: Sequence[str]) -> dict[str, Any] | None:
    """What the run.json of a finished run says, where it is this job's; None elsewhere."""
    try:
        found = read_json(folder / _MANIFEST)
        if found["state"] != "finished" or of_the_job(found["overrides"]) != of_the_job(overrides):
            return None
        return {name: found[name] for name in _KEPT}
    except (ValueError, KeyError, TypeError):
        return None


def _resume(composed: DictConfig, folder: Path) -> None:
    """Let a job that was begun before resume its checkpoint; without one it starts again, in an empty folder."""
    starts_elsewhere = composed.get("ckpt_path") is not None or OmegaConf.select(composed, "checkpoint.keep") == "best"
    if (folder / "checkpoints" / "last.ckpt").is_file() or not starts_elsewhere:
        with open_dict(composed):
            composed.ckpt_path, composed.resume = None, "auto"
        return
    is_inside = Path.cwd() == folder
    move_aside(folder)
    folder.mkdir()
    if is_inside:
        os.chdir(folder)


def _line(error: BaseException) -> str:
    """The one line for what has ended a job."""
    if isinstance(error, UserError | OSError):
        return message_of(error)
    if isinstance(error, SystemExit):
        return f"the job has ended the program with status {error.code}"
    if isinstance(error, MemoryError):
        return "memory has run out"
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {first_line(error)}{place}"
