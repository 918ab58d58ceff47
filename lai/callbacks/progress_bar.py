"""The progress bar of training on a terminal."""

import math
import sys
import time
from typing import Any

import lightning
from lightning.pytorch.callbacks import RichProgressBar

from lai.host.console import label

_REFRESHES = 5  # a second


class ProgressBar(RichProgressBar):
    """Lightning's Rich bar with short names and a readable precision.

    It reads the metrics only when it is drawn. Lightning itself reads what is logged with `prog_bar=True` in every
    step, even where no bar is drawn. The GPU then idles while the program waits and sends it the next step.
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
        self._batches = 0  # done in this epoch
        if not sys.stdout.isatty():
            self.disable()  # ProgressLog writes lines instead

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._batches = 0
        super().on_train_epoch_start(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._batches = batch_idx + 1
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    @property
    def total_train_batches(self) -> int | float:
        """The number of batches of this epoch, up to the step that ends the run."""
        trainer, batches = self.trainer, self.trainer.num_training_batches
        if trainer.max_steps == -1:
            return batches
        steps = trainer.max_steps - trainer.global_step
        return min(batches, self._batches + steps * trainer.accumulate_grad_batches)

    def _get_train_description(self, current_epoch: int) -> str:
        """`Epoch 1/10` for the first of ten, as the log counts; `Epoch 1` in a run without a last epoch."""
        trainer = self.trainer
        last = trainer.max_epochs if trainer.max_epochs not in (None, -1) else math.inf
        if trainer.max_steps != -1:
            steps = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
            last = min(last, math.ceil(trainer.max_steps / steps))
        text = f"{label()}Epoch {current_epoch + 1}" + (f"/{last}" if last < math.inf else "")
        return f"{text:{len(self.validation_description)}}"  # equally long, or the bars would jump

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
