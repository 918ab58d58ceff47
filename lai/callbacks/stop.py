"""Ctrl-C and SIGTERM end training between two steps, where a checkpoint to resume from can be written."""

import logging
import math
import signal
import threading
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import distributed

log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopBetweenBatches(Callback):
    """Turns the first Ctrl-C or SIGTERM into a KeyboardInterrupt when the batch is done.

    Raised at any other place, it could leave a logger's queue locked for ever. A second signal acts at once. A resumed
    run does what an uninterrupted one does: a step whose gradients are being accumulated is finished first, and so is a
    validation with the batch behind it. All processes stop where one has got the signal.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._handlers: dict[int, Any] = {}
        self._has_waited = False
        self._has_told = False
        self._group: distributed.ProcessGroup | None = None

    def on_train_start(self, *_: Any) -> None:
        if distributed.is_available() and distributed.is_initialized():
            # The CPUs agree on it: to hear it from a GPU, a process would wait for the GPU's step.
            self._group = distributed.new_group(backend="gloo")
        # Set later than Lightning's own handler for SIGTERM, which would end training without a message.
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, self._note) for number in _SIGNALS}

    def _note(self, number: int, *_: Any) -> None:
        self.received = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def on_validation_batch_end(self, *_: Any) -> None:
        if self.received is not None and not self._has_told:
            self._has_told = True
            log.info("stopping when this validation is done; a second Ctrl-C stops at once")

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not self._is_stopping():
            return
        batches, last = batch_idx + 1, trainer.is_last_batch
        if batches % trainer.accumulate_grad_batches and not last:
            return
        if trainer.check_val_every_n_epoch is None:  # validations then come every so many batches of the whole run
            batches = trainer.fit_loop.total_batch_idx + 1
        if (last or batches % (trainer.val_check_batch or math.inf) == 0) and not self._has_waited:
            self._has_waited = True
            return
        raise KeyboardInterrupt

    def _is_stopping(self) -> bool:
        """Whether this or another process of the run has got a signal."""
        received = torch.tensor(self.received is not None, dtype=torch.uint8)
        if self._group is not None:
            distributed.all_reduce(received, distributed.ReduceOp.MAX, self._group)
        return bool(received)

    def on_train_end(
        self, *_: Any
    ) -> None:  # by the end of fit Lightning has restored the handlers from before its own
        self._restore()

    def on_exception(self, *_: Any) -> None:
        self._restore()
