"""Puts the ledger between Hydra's sweeper and its launcher, whichever they are.

Hydra takes plug-ins from the package `hydra_plugins` alone, which every Hydra program of the same environment would
import when it starts, and a sweeper of our own would leave out the sweeps of all others. Every sweeper asks
`Plugins.instantiate_launcher` for its launcher: ours stands in front of the one that it gets.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from lai.host.errors import UserError
from lai.run.launch import find_launcher, is_first_process
from lai.sweep.running import Sweep

_instantiate = Plugins.instantiate_launcher
_validate = Sweeper.validate_batch_is_legal
_BASIC = f"{BasicSweeper.__module__}.{BasicSweeper.__qualname__}"


@contextmanager
def ledger_kept() -> Iterator[list[Sweep]]:
    """Keep the ledger of the sweep that Hydra runs inside; gives a list that holds it once its jobs may begin."""
    sweeps: list[Sweep] = []

    def instantiate(
        self: Plugins, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> Launcher:
        if not is_first_process():  # it takes part in all jobs of the first process, which has the ledger
            return _instantiate(self, hydra_context, task_function, config)
        sweep = Sweep(config, hydra_context.config_loader, sys.argv[1:], is_alone=find_launcher() is None)
        is_basic = config.hydra.sweeper.get("_target_") == _BASIC
        if is_basic:
            Sweeper.validate_batch_is_legal = _accept  # type: ignore[method-assign,assignment]
            sweep.add(dict(enumerate(_all_jobs(hydra_context, config))))
        else:
            sweep.check_metric()
        sweeps.append(sweep)
        launcher = _instantiate(self, hydra_context, sweep.recorded(task_function), config)
        return LedgerLauncher(launcher, sweep, is_basic=is_basic)

    Plugins.instantiate_launcher = instantiate  # type: ignore[method-assign]
    try:
        yield sweeps
    finally:
        Plugins.instantiate_launcher = _instantiate  # type: ignore[method-assign]
        Sweeper.validate_batch_is_legal = _validate  # type: ignore[method-assign]


def _accept(*_: Any) -> None:
    """Compose no job again: the ledger has composed and checked all of them."""


class LedgerLauncher(Launcher):
    """Has another launcher do the jobs that are not done.

    Args:
        launcher: that one.
        is_basic: the sweeper is Hydra's own, which has no use for results and would end at the first job that failed.
    """

    def __init__(self, launcher: Launcher, sweep: Sweep, *, is_basic: bool) -> None:
        self._launcher = launcher
        self._sweep = sweep
        self._is_basic = is_basic

    def setup(self, **_: Any) -> None:
        """Do nothing: the other launcher is set up."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        first = initial_job_idx if self._is_basic else self._sweep.free_number(job_overrides, initial_job_idx)
        if not self._is_basic:
            self._sweep.add(dict(enumerate(job_overrides, first)))
        return self._sweep.do(self._launcher, job_overrides, first, raises=not self._is_basic)


def _all_jobs(context: HydraContext, config: DictConfig) -> list[list[str]]:
    """The jobs of Hydra's own sweeper, as it makes them, in one batch."""
    params, task = (
        OmegaConf.to_container(OmegaConf.create(OmegaConf.select(config, key) or empty), resolve=False)
        for key, empty in (("hydra.sweeper.params", {}), ("hydra.overrides.task", []))
    )
    assert isinstance(params, dict) and isinstance(task, list)
    arguments = [*(f"{key!s}={value}" for key, value in params.items()), *task]
    parser = OverridesParser.create(config_loader=context.config_loader)
    jobs: list[list[str]] = BasicSweeper.split_arguments(parser.parse_overrides(arguments), None)[0]
    if not jobs:
        raise UserError("the sweep has no jobs: a list of values is empty")
    return jobs
