"""A signal ends training between two steps, where a checkpoint to resume from can be written."""

import logging
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from lai.callbacks.steps import Agreement, step_is_done, validation_may_follow
from lai.host.signals import wait_for_signals, wait_no_longer

log = logging.getLogger(__name__)


class StopBetweenBatches(Callback):
    """Turns the first Ctrl-C, SIGTERM, SIGHUP, SIGUSR1 or SIGUSR2 into a KeyboardInterrupt when the step is done.

    Raised at any other place, it could leave a logger's queue locked for ever. A second Ctrl-C acts at once. A resumed
    run does what an uninterrupted one does: a step whose gradients are being accumulated is finished first, and so is a
    validation with the batch behind it. All processes stop where one has got the signal.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._has_waited = False
        self._has_told = False
        self._agreement: Agreement | None = None

    def on_train_start(self, *_: Any) -> None:
        self._agreement = Agreement()
        # Set later than Lightning's own handlers, which would save inside a step, or end training without a message.
        wait_for_signals(self._note)

    def _note(self, number: int) -> None:
        self.received = number

    def on_validation_batch_end(self, *_: Any) -> None:
        if self.received is not None and not self._has_told:
            self._has_told = True
            log.info("stopping when this validation is done; a second Ctrl-C stops at once")

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert self._agreement is not None
        if not self._agreement.any(self.received is not None) or not step_is_done(trainer, batch_idx):
            return
        if validation_may_follow(trainer, batch_idx) and not self._has_waited:
            self._has_waited = True
            return
        raise KeyboardInterrupt

    def on_train_end(self, *_: Any) -> None:
        wait_no_longer()

    def on_exception(self, *_: Any) -> None:
        wait_no_longer()
