"""Which weights were validated with which metrics, and which of them had the lowest `val/loss`."""

import logging
import math
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from lai.callbacks.fingerprint import fingerprint
from lai.export.checkpoint import Checkpoint, read_checkpoint
from lai.host.errors import UserError
from lai.host.plain_data import TEXT, WHOLE, Kind, Record, Table, check
from lai.model.module import LanguageModel
from lai.model.resuming import resuming

_METRIC = Kind("a number", lambda value: type(value) is float)  # a metric of a user's may be NaN
_STATE = Record({"metrics": Table(TEXT, _METRIC)}, {"weights": Table(TEXT, WHOLE), "step": WHOLE})

log = logging.getLogger(__name__)


class BestWeights(Callback):
    """Keeps the metrics and the fingerprint of the weights with the lowest `val/loss`, also over a resumed run."""

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}
        """The validation metrics of the lowest `val/loss` so far."""
        self.last_metrics: dict[str, float] = {}
        """The metrics of this run's last validation; empty before the first."""
        self.lowest: dict[str, int] = {}
        """The fingerprint of the weights with the lowest `val/loss`."""
        self.lowest_step = -1
        """The step of these weights; -1 where it is unknown."""
        self.validated: dict[str, int] = {}
        """The fingerprint of the weights that were validated last."""
        self.validated_step = -1
        self.are_exchanged = False
        """Whether a callback exchanges the weights for validation."""
        self.have_changed = False
        """Whether training has changed a weight; known when training ends."""
        self.are_validated = True
        """Whether the last weights are those that were validated last; known when training ends."""
        self._first: dict[str, int] = {}
        self._earlier: Path | None = None  # the best checkpoint of the run that this one resumes

    @property
    def state_key(self) -> str:
        return "ExportModel"  # as checkpoints have always named it

    def state_dict(self) -> dict[str, Any]:
        return {"metrics": self.metrics, "weights": self.lowest, "step": self.lowest_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        with resuming():
            check(state_dict, _STATE, f"callbacks.{self.state_key}")
        self.metrics = state_dict["metrics"]
        self.lowest = state_dict.get("weights", {})
        self.lowest_step = state_dict.get("step", -1)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._first = fingerprint(pl_module)
        callback = _by_loss(trainer)
        if callback is not None and callback.best_model_path:
            self._earlier = Path(callback.best_model_path)

    def on_validation_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.validated, self.validated_step = fingerprint(pl_module), trainer.global_step

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        found = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        if trainer.sanity_checking or "val/loss" not in found:
            return
        self.last_metrics = found
        self.are_exchanged = self.are_exchanged or fingerprint(pl_module) != self.validated
        if found["val/loss"] < self.metrics.get("val/loss", math.inf):
            self.metrics, self.lowest, self.lowest_step = found, self.validated, self.validated_step

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        last = fingerprint(pl_module)
        self.have_changed = last != self._first
        self.are_validated = not self.last_metrics or last == self.validated

    def may_lack_last(self, trainer: lightning.Trainer, pl_module: LanguageModel) -> bool:
        """Whether the last weights of a run that is over may never have been validated: killed behind its last step."""
        return trainer.enable_validation and not pl_module.lacks_state and fingerprint(pl_module) != self.lowest

    def checkpoint(self, trainer: lightning.Trainer) -> Path | None:
        """The checkpoint with the lowest `val/loss`, and its metrics in `metrics`; None where there is none."""
        callback = _by_loss(trainer)
        if callback is None or not self.metrics:
            return None
        score = math.inf if callback.best_model_score is None else float(callback.best_model_score)
        lowest = self.metrics["val/loss"]
        own = Path(callback.best_model_path) if score < math.inf else None
        best = own if score <= lowest else self._earlier
        if best is not None and best.is_file():
            return best
        if best is not None:
            log.info("the checkpoint with the lowest val/loss, %.4f, no longer exists: %s", lowest, best)
        if own is None or not own.is_file():
            return None
        self.metrics, self.lowest, self.lowest_step = {"val/loss": score}, {}, -1
        return own

    def read(self, path: Path, module: LanguageModel) -> Checkpoint:
        """Read the checkpoint that `checkpoint` has found; low-rank factors are not added to its weights.

        Raises:
            UserError: it cannot be read, or it is another one than was written there: of another run, step or loss.
        """
        checkpoint = read_checkpoint(path, merges=False)  # to compare them with those that were validated
        found, lowest = checkpoint.training, self.metrics["val/loss"]
        is_of_run = checkpoint.run in (module.run_id, "")  # earlier versions wrote none
        is_of_step = self.lowest_step in (-1, found.steps)
        is_of_loss = not found.val_loss or math.isclose(found.val_loss, lowest, rel_tol=1e-5, abs_tol=1e-6)
        if is_of_run and is_of_step and is_of_loss:
            return checkpoint
        whose = "this run" if is_of_run else "another run"
        wanted = f"step {self.lowest_step:,}, " if self.lowest_step >= 0 else ""
        raise UserError(
            f"{path} was replaced: it is of {whose}, step {found.steps:,}, val/loss {found.val_loss:.4f}, and the best "
            f"checkpoint had {wanted}val/loss {lowest:.4f}"
        )


def _by_loss(trainer: lightning.Trainer) -> ModelCheckpoint | None:
    """The callback that keeps the checkpoint with the lowest `val/loss`."""
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.monitor == "val/loss" and callback.save_top_k:
            return callback
    return None
