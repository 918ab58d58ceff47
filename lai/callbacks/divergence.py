"""Ends a run that diverges: many skipped steps in a row, or a validation loss that is not finite."""

import logging
import math
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from lai.callbacks.last_checkpoint import LastCheckpoint
from lai.callbacks.steps import step_is_done
from lai.host.errors import UserError
from lai.host.files import atomic_write
from lai.host.plain_data import COUNT, Record, check
from lai.model.module import LanguageModel

_STATE = Record({"skipped": COUNT})

log = logging.getLogger(__name__)


class StopOnDivergence(Callback):
    """Counts the steps that `lai.model.finite` skips, logs them as `train/skipped_steps`, and ends a run of bad ones.

    The last good checkpoint is kept. The batches of the last bad step are saved as `bad_batch.pt` in the run's folder,
    of several processes as `bad_batch-RANK.pt`: what `torch.load` gives is {step, batches: [{tokens, targets, …}]}.

    Args:
        max_bad_steps: skipped steps in a row that end the run.

    Raises:
        UserError: that many steps were skipped in a row, or `val/loss` is not finite.
    """

    def __init__(self, max_bad_steps: int = 10) -> None:
        self._limit = max_bad_steps
        self._skipped = 0  # of a checkpoint, or those told so far
        self._batches: list[Any] = []  # of this step
        self._before: list[Any] = []  # of the step before

    @property
    def state_key(self) -> str:
        return "SkippedSteps"

    def state_dict(self) -> dict[str, Any]:
        return {"skipped": self._skipped} if self._skipped else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        try:
            check(state_dict, _STATE, f"callbacks.{self.state_key}")
        except UserError as error:
            raise UserError(f"the checkpoint cannot be resumed: {error}") from None
        self._skipped = state_dict["skipped"]

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        assert isinstance(pl_module, LanguageModel)
        pl_module.finite.resume_from(self._skipped)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, LanguageModel)
        self._batches.append(batch)
        if not step_is_done(trainer, batch_idx):
            return
        finite = pl_module.finite
        step = trainer.global_step - finite.is_late
        batches = self._before if finite.is_late else self._batches
        self._tell(finite.skipped, step)
        if self._skipped:
            pl_module.log("train/skipped_steps", float(self._skipped), batch_size=1)
        if finite.in_row >= self._limit:
            raise self._end(trainer, step, finite.in_row, batches)
        self._before, self._batches = self._batches, []

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        assert isinstance(pl_module, LanguageModel)
        pl_module.finite.read()
        self._tell(pl_module.finite.skipped, trainer.global_step)

    def _tell(self, skipped: int, step: int) -> None:
        if skipped > self._skipped:
            log.warning(
                "warning     the loss or the gradient of step %s is not finite: the step is skipped, as %s of the run",
                f"{step:,}",
                "the first" if skipped == 1 else f"number {skipped:,}",
            )
        self._skipped = skipped

    def _end(self, trainer: lightning.Trainer, step: int, in_row: int, batches: list[Any]) -> UserError:
        rank = f"-{trainer.global_rank}" if trainer.world_size > 1 else ""
        folder = trainer.strategy.broadcast(str(trainer.default_root_dir))
        path = Path(folder) / f"bad_batch{rank}.pt"
        with atomic_write(path) as file:
            torch.save({"step": step, "batches": _on_cpu(batches)}, file)
        keep_checkpoints(trainer)
        last = (callback for callback in trainer.checkpoint_callbacks if isinstance(callback, LastCheckpoint))
        kept = next((callback.path for callback in last if callback.path.is_file()), None)
        hint = f"; the last good state is kept: ckpt_path={kept}" if kept else ""
        return UserError(
            f"{in_row} steps in a row, up to step {step:,}, have a loss or gradient that is not finite; the last "
            f"batch is in {path}; start again with a lower optimizer.lr{hint}"
        )

    def on_validation_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        loss = float(trainer.callback_metrics.get("val/loss", 0.0))
        if trainer.sanity_checking or math.isfinite(loss):
            return
        keep_checkpoints(trainer)
        best = ""
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint):
                best = best or (callback.best_model_path if callback.monitor else "")
        hint = f", or export the best weights so far: lai-export {best}" if best else ""
        raise UserError(
            f"val/loss is {loss} at step {trainer.global_step}: training diverged; start again with a lower "
            f"optimizer.lr{hint}"
        )


def keep_checkpoints(trainer: lightning.Trainer) -> None:
    """Let the error that ends the run replace no checkpoint."""
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, ModelCheckpoint):
            callback.save_on_exception = False


def _on_cpu(values: Any) -> Any:
    if isinstance(values, torch.Tensor):
        return values.cpu()
    if isinstance(values, dict):
        return {key: _on_cpu(value) for key, value in values.items()}
    return [_on_cpu(value) for value in values] if isinstance(values, list | tuple) else values
