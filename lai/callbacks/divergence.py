"""Ends a run whose validation loss is infinite or NaN."""

import math
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from lai.host.errors import UserError


class StopOnDivergence(Callback):
    """Ends the run with an error, and does not overwrite the last good checkpoint.

    Raises:
        UserError: `val/loss` is not finite.
    """

    def on_validation_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        loss = float(trainer.callback_metrics.get("val/loss", 0.0))
        if trainer.sanity_checking or math.isfinite(loss):
            return
        best = ""
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint):
                callback.save_on_exception = False
                best = best or (callback.best_model_path if callback.monitor else "")
        hint = f", or export the best weights so far: lai-export {best}" if best else ""
        raise UserError(
            f"val/loss is {loss} at step {trainer.global_step}: training diverged; start again with a lower "
            f"optimizer.lr{hint}"
        )
