"""Hands a trained model over as one file when fit ends."""

import logging
import math
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import Tensor

from lai.data.vocab import Vocab
from lai.errors import UserError
from lai.export.checkpoint import read_checkpoint
from lai.export.verified import ExportReport, export_model
from lai.model.module import LanguageModel

log = logging.getLogger(__name__)


class ExportModel(Callback):
    """Writes the model file when fit ends, also by `max_time`, `max_steps` or early stopping.

    The weights are those of the best checkpoint by `val/loss` where there is one, else the last ones. Stopping in the
    middle of an epoch still validates, so that the last weights take part in the choice.
    """

    def __init__(self, path: Path | str, dtype: str = "f32") -> None:
        self.path = Path(path)
        self.dtype = dtype
        self.report: ExportReport | None = None
        self.trained = False
        self.metrics: dict[str, float] = {}
        """The validation metrics of the exported weights: the lowest `val/loss` and what was measured with it."""

    def on_validation_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        found = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        if trainer.sanity_checking or "val/loss" not in found:
            return
        if not math.isfinite(found["val/loss"]):
            raise UserError(
                f"val/loss is {found['val/loss']} at step {trainer.global_step}: training diverged; lower optimizer.lr"
            )
        if found["val/loss"] < self.metrics.get("val/loss", math.inf):
            self.metrics = found

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        self.trained = True
        # Lightning validates when something asks it to stop, but not when max_steps runs out inside an epoch.
        if 0 < trainer.max_steps <= trainer.global_step:
            trainer.should_stop = True

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        assert isinstance(pl_module, LanguageModel)
        weights = self._last_weights(trainer, pl_module)
        if not trainer.is_global_zero:
            return
        if not self.trained:
            raise UserError(
                f"{trainer.ckpt_path or 'this run'} has nothing left to train up to max_epochs {trainer.max_epochs} "
                f"and max_steps {trainer.max_steps}; raise trainer.max_epochs or trainer.max_steps"
            )
        vocab = Vocab.from_bytes(pl_module.vocab)
        best = self._best_checkpoint(trainer)
        if best is not None:
            _, _, weights = read_checkpoint(best.best_model_path)
            score = best.best_model_score
            if score is not None and float(score) < self.metrics["val/loss"]:  # from before the run was resumed
                self.metrics = {"val/loss": float(score)}
        self.report = export_model(self.path, pl_module.config, weights, vocab, self.dtype)
        log.debug("exported %s", self.report)

    @staticmethod
    def _last_weights(trainer: lightning.Trainer, pl_module: LanguageModel) -> dict[str, Tensor]:
        state = trainer.strategy.lightning_module_state_dict()  # gathers the shards under FSDP, so on every process
        return {name.removeprefix("model."): value for name, value in state.items() if name.startswith("model.")}

    def _best_checkpoint(self, trainer: lightning.Trainer) -> ModelCheckpoint | None:
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.monitor == "val/loss" and callback.best_model_path:
                return callback if self.metrics else None
        return None
