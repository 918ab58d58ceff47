"""Progress as plain lines: always in the run's log file, and on standard output where no terminal shows a bar."""

import logging
import math
import sys
import time
from datetime import timedelta
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from lai.model.module import LanguageModel

log = logging.getLogger(__name__)


class ProgressLog(Callback):
    """Writes a line every `every_seconds` and after every validation.

    Without a terminal (a log file, a pipe) no bar is drawn, so the lines go to standard output.
    """

    def __init__(self, every_seconds: float = 15.0) -> None:
        self.every_seconds = every_seconds
        self._begin = self._last = time.monotonic()

    def on_train_start(self, *_: Any) -> None:
        self._begin = self._last = time.monotonic()

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any) -> None:
        if time.monotonic() - self._last >= self.every_seconds:
            self._write(trainer, pl_module)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._write(trainer, pl_module)

    def _write(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        assert isinstance(pl_module, LanguageModel)
        self._last = time.monotonic()
        if not trainer.is_global_zero:
            return
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        parts = [
            f"epoch {trainer.current_epoch + 1}",
            f"step {trainer.global_step:,}" + (f"/{steps:,}" if (steps := pl_module.planned_steps) < math.inf else ""),
            str(timedelta(seconds=int(self._last - self._begin))),
        ]
        for name, form in (("train/loss", ".3f"), ("val/loss", ".3f"), ("val/bpb", ".3f"), ("train/lr", ".1e")):
            if name in metrics:
                floor = metrics.get(f"{name}_floor")
                parts.append(f"{name} {metrics[name]:{form}}" + ("" if floor is None else f" (floor {floor:{form}})"))
        if "train/tokens_per_second" in metrics:
            parts.append(f"{metrics['train/tokens_per_second']:,.0f} tokens/s")
        on_terminal = sys.stdout.isatty()
        log.log(logging.DEBUG if on_terminal else logging.INFO, "  ".join(parts))
