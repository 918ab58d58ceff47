"""Tokens per second of training, without the time of validation."""

import time
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from torch import Tensor


class Throughput(Callback):
    """Logs `train/tokens_per_second` over all processes, averaged since the last time it was logged.

    Lightning's own ThroughputMonitor needs sample counts and lengths from a function and logs a dozen names. This one
    counts the tokens that the model reads of each batch.
    """

    def __init__(self) -> None:
        self._tokens: int | Tensor = 0
        self._seconds = 0.0
        self._start: float | None = None
        self._step = 0

    def on_train_batch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        if self._start is None:
            self._start = time.perf_counter()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        # Stays on the device: reading it would wait for the batch to finish.
        self._tokens += (batch["documents"] >= 0).sum()
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        is_logged = every and trainer.global_step % every == 0 and trainer.global_step != self._step
        self._step = trainer.global_step  # the same for all batches of one accumulated step
        tokens = int(self._tokens) if is_logged else 0  # waits for the device, so that the time covers the work
        now = time.perf_counter()
        self._seconds += now - (self._start or now)
        self._start = now  # the next batch's loading counts as well
        if is_logged and self._seconds > 0:
            rate = tokens * trainer.world_size / self._seconds
            pl_module.log("train/tokens_per_second", rate, batch_size=1)
            self._tokens, self._seconds = 0, 0.0

    def on_validation_start(self, *_: Any) -> None:
        self._start = None
