"""All jobs of a sweep are composed and checked before the first one starts, by the process that starts the sweep."""

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from lai.config.hydra_errors import explain
from lai.config.load import load_run_config
from lai.config.schema import RunConfig
from lai.host.errors import UserError, message_of
from lai.host.garbage import garbage_freed
from lai.run.folders import moved, refuse_used
from lai.run.follow import follow_initial
from lai.sweep.ledger import Job


def checked(
    loader: ConfigLoader,
    config: DictConfig,
    wanted: Mapping[int, Sequence[str]],
    known: Mapping[int, Job],
    arguments: Sequence[str],
) -> list[Job]:
    """Compose jobs, check their settings as they themselves will, and give them with the files that they write.

    Args:
        config: the sweep's own, which the jobs' overrides are added to.
        wanted: the overrides of jobs, by their numbers.
        known: the jobs that the ledger has, which were checked when they were entered.
        arguments: the command line.

    Raises:
        UserError: a job's settings are wrong, or two jobs have one folder or model file; the line names the job.
    """
    jobs = dict(known)
    for number, overrides in wanted.items():
        if number in known:
            continue
        with garbage_freed():
            try:
                jobs[number] = _checked(loader, config, number, overrides, arguments)
            except Exception as error:
                mistake = explain(error, overrides)
                if mistake is None:
                    raise
                raise UserError(f"{name_of(number, overrides, wanted)}: {message_of(mistake)}") from None
    _check_apart(jobs)
    return [jobs[number] for number in wanted]


def _checked(
    loader: ConfigLoader, config: DictConfig, number: int, overrides: Sequence[str], arguments: Sequence[str]
) -> Job:
    with _composed(loader, config, number, overrides) as (composed, folder):
        run = load_run_config(moved(composed, folder), arguments, follow_initial)
        _check_shape(run)
        refuse_used(folder)
        return Job(number, tuple(overrides), folder, _model_file(run, folder))


def name_of(number: int, overrides: Sequence[str], all_jobs: Mapping[int, Sequence[str]]) -> str:
    """A job in words: its number, and the overrides that not all jobs have."""
    own = " ".join(override for override in overrides if any(override not in other for other in all_jobs.values()))
    return f"job {number}" + (f" ({own})" if own else "")


@contextmanager
def _composed(
    loader: ConfigLoader, config: DictConfig, number: int, overrides: Sequence[str]
) -> Iterator[tuple[DictConfig, Path]]:
    """What Hydra makes of a job's overrides, and the job's folder; as its launchers do it."""
    composed = loader.load_sweep_config(config, list(overrides))
    with open_dict(composed):
        composed.hydra.job.id = composed.hydra.job.num = number
    before = HydraConfig.instance().cfg
    try:
        HydraConfig.instance().set_config(composed)
        parts = (str(OmegaConf.select(composed, f"hydra.sweep.{key}")) for key in ("dir", "subdir"))
        folder = Path(os.path.abspath(os.path.join(*parts)))  # noqa: PTH100, PTH118  as Hydra does, without links
        with read_write(composed.hydra.runtime), open_dict(composed.hydra.runtime):
            composed.hydra.runtime.output_dir = str(folder)
        HydraConfig.instance().set_config(composed)
        task = copy.deepcopy(composed)
        with read_write(task), open_dict(task):
            del task["hydra"]
        yield task, folder
    finally:
        HydraConfig.instance().cfg = before


def _check_shape(run: RunConfig) -> None:
    from lai.model.transformer import ModelConfig

    ModelConfig.of(run.model, run.data.vocab_size)


def _model_file(run: RunConfig, folder: Path) -> Path | None:
    if run.estimate:
        return None
    from lai.run.preflight import export_path

    base = folder if HydraConfig.get().job.chdir else Path.cwd()
    return Path(os.path.realpath(base / export_path(run)))


def _check_apart(jobs: Mapping[int, Job]) -> None:
    folders: dict[Path, int] = {}
    models: dict[Path, int] = {}
    for number, job in jobs.items():
        if (other := folders.setdefault(job.folder, number)) != number:
            raise UserError(
                f"jobs {other} and {number} have one folder, {job.folder}; leave hydra.sweep.subdir out, or put "
                "${hydra.job.num} into it"
            )
        if job.export is not None and (other := models.setdefault(job.export, number)) != number:
            raise UserError(
                f"jobs {other} and {number} have one export.path, {job.export}; leave it out, or put "
                "${hydra:job.num} into it"
            )
