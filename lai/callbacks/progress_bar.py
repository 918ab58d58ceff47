"""The bar a person watches while a model trains."""

import math
import sys
import time
from typing import Any

import lightning
from lightning.pytorch.callbacks import RichProgressBar

_REFRESHES = 5  # a second


class ProgressBar(RichProgressBar):
    """Lightning's Rich bar with the short names and the precision that tell something.

    It reads the metrics as often as it is drawn. What is logged with `prog_bar=True` Lightning reads in every step,
    even where no bar is drawn, and a GPU then has nothing to do while the program waits and sends it the next step.
    """

    _NAMES = {  # noqa: RUF012
        "train/loss": ("loss", "{:.3f}"),
        "train/lr": ("lr", "{:.1e}"),
        "train/tokens_per_second": ("tokens/s", "{:,.0f}"),
        "val/loss": ("val_loss", "{:.3f}"),
        "val/loss_floor": ("floor", "{:.3f}"),
        "val/bpb": ("val_bpb", "{:.3f}"),
    }

    def __init__(self) -> None:
        super().__init__(refresh_rate=_REFRESHES, leave=False)
        self._shown: dict[str, Any] = {}
        self._last_read = -math.inf
        if not sys.stdout.isatty():
            self.disable()  # ProgressLog writes lines instead

    def get_metrics(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> dict[str, Any]:
        if time.monotonic() - self._last_read >= 1 / _REFRESHES:
            metrics = trainer.callback_metrics
            self._shown = {
                label: form.format(float(metrics[name]))
                for name, (label, form) in self._NAMES.items()
                if name in metrics
            }
            self._last_read = time.monotonic()
        return self._shown
