"""last.ckpt: the newest state of a run, to resume from."""

import logging
import time
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import ModelCheckpoint

from lai.callbacks.steps import Agreement, is_between_steps, step_is_done, validation_may_follow
from lai.host.errors import Interrupted
from lai.model.module import LanguageModel

log = logging.getLogger(__name__)

_SHARE = 0.01
"""The share of a run's time that its checkpoints between validations may take."""


class LastCheckpoint(ModelCheckpoint):
    """Writes `last.ckpt` every `minutes`, after every validation (without one, after every epoch), and at the end.

    It is also written where a run stops or fails, but never from inside a step or a validation: the run then keeps the
    file that it has. Weights that are not finite are never written.

    Lightning's `save_last` writes it together with a best checkpoint only: once the loss no longer falls, a run would
    resume from its best step instead of its last.

    Args:
        minutes: the time between two checkpoints, more where writing one takes over 1 % of it; None or 0: no limit.
    """

    def __init__(self, dirpath: Path | str, minutes: float | None = 5.0) -> None:
        super().__init__(dirpath, filename="last", save_on_exception=True, enable_version_counter=False)
        self.minutes = minutes
        self.saved_step: int | None = None
        """The step of the file that this run has written last."""
        self._saved = time.monotonic()  # when a checkpoint was last written, and how long that took
        self._seconds = 0.0
        self._was_put_off = False  # until the step is done in which a validation took place
        self._agreement: Agreement | None = None

    @property
    def path(self) -> Path:
        return Path(self.format_checkpoint_name({}))

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._saved = time.monotonic()
        if self.minutes:
            self._agreement = Agreement()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not step_is_done(trainer, batch_idx) or validation_may_follow(trainer, batch_idx):
            return
        # The clock of the first process counts: saving is done by all of them together.
        is_due = self._agreement is not None and self._agreement.any(trainer.is_global_zero and self._is_due())
        if (is_due or self._was_put_off) and not self._should_skip_saving_checkpoint(trainer):
            self._was_put_off = False
            self._save_checkpoint(trainer, str(self.path))

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if not trainer.sanity_checking and trainer.fit_loop.epoch_loop._should_accumulate():
            self._was_put_off = True  # the gradients of half a step are no part of a checkpoint
        else:
            super().on_validation_end(trainer, pl_module)

    def _is_due(self) -> bool:
        passed = time.monotonic() - self._saved
        return passed >= max(60 * (self.minutes or 0), self._seconds / _SHARE)

    def _should_save_on_train_epoch_end(self, trainer: lightning.Trainer) -> bool:
        # Lightning takes val_check_interval=1, a validation after each batch, for 1.0, one in an epoch.
        return super()._should_save_on_train_epoch_end(trainer) and not (
            isinstance(trainer.val_check_interval, int) and any(trainer.num_val_batches)
        )

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        if isinstance(exception, Interrupted) or not is_between_steps(trainer):  # a second Ctrl-C comes anywhere
            return
        super().on_exception(trainer, pl_module, exception)

    def _save_checkpoint(self, trainer: lightning.Trainer, filepath: str) -> None:
        begin = time.monotonic()
        if isinstance(trainer.lightning_module, LanguageModel):
            trainer.lightning_module.tokens_seen.sync(trainer)
        are_finite = all(bool(weight.isfinite().all()) for weight in trainer.lightning_module.parameters())
        if trainer.strategy.reduce_boolean_decision(are_finite, all=True):
            super()._save_checkpoint(trainer, filepath)
            self.saved_step = trainer.global_step
        else:
            kept = "" if self.saved_step is None else f"; it keeps those of step {self.saved_step:,}"
            log.warning(
                "warning     step %s has weights that are not finite: %s is not written%s",
                f"{trainer.global_step:,}",
                self.path.name,
                kept,
            )
        self._saved = time.monotonic()
        self._seconds = self._saved - begin
