"""What a job of a Hydra multirun needs in addition to a single run."""

import gc
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, flag_override

from lai.config.hydra_errors import flags_of
from lai.run.launch import starts_processes

# What Lightning tells the processes that it starts: their ranks and their threads.
_PROCESS_NAMES = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE", "OMP_NUM_THREADS")


def in_sweep() -> bool:
    """Whether this run is a job of a sweep."""
    return HydraConfig.get().mode is RunMode.MULTIRUN


@contextmanager
def processes_of_a_job(output_dir: str) -> Iterator[None]:
    """Let the processes that Lightning starts do this job only, and let the next job start its own.

    Lightning starts them with this process's arguments: they would repeat the sweep's earlier jobs before this one.
    """
    if not starts_processes():  # the processes of torchrun or srun run the whole sweep
        yield
        return
    config = HydraConfig.get()
    one_job = ["hydra.mode=RUN", f"hydra.job.num={config.job.num}"]
    arguments = sys.argv[1:]
    environment = {name: os.environ[name] for name in _PROCESS_NAMES if name in os.environ}
    sys.argv[1:] = [*flags_of(arguments), *config.overrides.hydra, *config.overrides.task, *one_job]
    with flag_override(cast(DictConfig, config), "readonly", False):
        config.run.dir = output_dir  # Lightning lets them write their logs there
    try:
        yield
    finally:
        sys.argv[1:] = arguments
        for name in _PROCESS_NAMES:
            os.environ.pop(name, None)
        os.environ.update(environment)
        _forget_processes()


def forget_job(error: BaseException | None = None) -> None:
    """Free what a job has made: objects that refer to each other, and those that its `error` refers to.

    Hydra keeps the errors of all jobs, and an error keeps the local variables of the functions it passed through.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
    gc.collect()


def _forget_processes() -> None:
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
