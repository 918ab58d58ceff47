"""Drops the optimizer's state from last.ckpt when a run is finished: nothing but training on needs it."""

import logging

import lightning
from lightning.pytorch.callbacks import Callback, Timer
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy

from lai.callbacks.last_checkpoint import LastCheckpoint
from lai.export.checkpoint import run_of
from lai.export.optimizer_state import drop_optimizer_state
from lai.host.errors import UserError
from lai.model.module import LanguageModel

log = logging.getLogger(__name__)


class DropState(Callback):
    """Acts behind the export, once the run has reached the limits of its settings; early stopping is none of them.

    The weights, the run's place and the states of callbacks stay, so that the run, started again, exports its best.
    """

    def __init__(self) -> None:
        self.freed = 0
        """Bytes that dropping the state has freed."""

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        assert isinstance(pl_module, LanguageModel)
        is_whole = isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy)
        if not is_whole or not _is_at_its_limits(trainer, pl_module) or not trainer.is_global_zero:
            return
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, LastCheckpoint) and run_of(callback.path) == pl_module.run_id:
                try:
                    self.freed += drop_optimizer_state(callback.path)
                except (UserError, OSError) as error:
                    log.warning("warning     %s keeps the optimizer's state: %s", callback.path, error)


def freed_bytes(trainer: lightning.Trainer) -> int:
    """The bytes that dropping the state has freed at the end of this run."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return sum(callback.freed for callback in callbacks if isinstance(callback, DropState))


def _is_at_its_limits(trainer: lightning.Trainer, module: LanguageModel) -> bool:
    if trainer.global_step >= module.planned_steps:
        return True
    timers = (callback for callback in trainer.callbacks if isinstance(callback, Timer))  # type: ignore[attr-defined]
    return any((left := timer.time_remaining()) is not None and left <= 0 for timer in timers)
