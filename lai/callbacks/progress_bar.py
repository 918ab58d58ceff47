"""The bar a person watches while a model trains."""

import sys
from typing import Any

import lightning
from lightning.pytorch.callbacks import RichProgressBar


class ProgressBar(RichProgressBar):
    """Lightning's Rich bar with the short names and the precision that tell something."""

    _NAMES = {  # noqa: RUF012
        "train/loss": ("loss", "{:.3f}"),
        "train/lr": ("lr", "{:.1e}"),
        "train/tokens_per_second": ("tokens/s", "{:,.0f}"),
        "val/loss": ("val_loss", "{:.3f}"),
        "val/loss_floor": ("floor", "{:.3f}"),
        "val/bpb": ("val_bpb", "{:.3f}"),
    }

    def __init__(self) -> None:
        super().__init__(refresh_rate=5, leave=False)
        if not sys.stdout.isatty():
            self.disable()  # ProgressLog writes lines instead

    def get_metrics(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> dict[str, Any]:
        metrics = super().get_metrics(trainer, pl_module)
        return {
            label: form.format(float(metrics[name]))  # type: ignore[arg-type]
            for name, (label, form) in self._NAMES.items()
            if name in metrics
        }
