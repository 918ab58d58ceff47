"""Validates before the first step, so that a run with `init_from` tells where it begins."""

import logging
import math

import lightning
from lightning.pytorch.callbacks import Callback

log = logging.getLogger(__name__)


class FirstValidation(Callback):
    """Lets Lightning's check before training read all validation batches, and logs the `val/loss` that it finds.

    A run that resumes has no such check; without validation there is none either.
    """

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        trainer.num_sanity_val_steps = math.inf

    def on_sanity_check_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        loss = trainer.callback_metrics.get("val/loss")
        if loss is not None and trainer.is_global_zero:
            log.info("val/loss %.4f before training", float(loss))
