"""Counts skipped steps, and ends a run that diverges: many of them in a row, or a val/loss that is not finite."""

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
from lai.model.finite import FiniteSteps
from lai.model.module import LanguageModel
from lai.model.resuming import resuming
from lai.model.spikes import WINDOW, LossWindow
from lai.model.stored_tensor import tensor

_STATE = Record({"skipped": COUNT}, {"losses": tensor((WINDOW,), (torch.float32,))})

log = logging.getLogger(__name__)


class StopOnDivergence(Callback):
    """Counts the steps that `lai.model.finite` skips, logs them as `train/skipped_steps`, and ends a run of bad ones.

    The last good checkpoint is kept. The batches of the last bad step are saved as `bad_batch.pt` in the run's folder,
    of several processes as `bad_batch-RANK.pt`: what `torch.load` gives is {step, batches: [{tokens, targets, …}]}.

    Args:
        max_bad_steps: skipped steps in a row that end the run.
        skip_spikes: a step whose loss is a spike (`lai.model.spikes`) is skipped, too.

    Raises:
        UserError: that many steps were skipped in a row, or `val/loss` is not finite.
    """

    def __init__(self, max_bad_steps: int = 10, skip_spikes: bool = False) -> None:
        self._limit = max_bad_steps
        self._skips_spikes = skip_spikes
        self._finite: FiniteSteps | None = None
        self._losses: torch.Tensor | None = None  # of a checkpoint
        self._skipped = 0  # of a checkpoint, or those told so far
        self._spikes = 0  # those told so far
        self._batches: list[Any] = []  # of this step
        self._before: list[Any] = []  # of the step before

    @property
    def state_key(self) -> str:
        return "SkippedSteps"

    def state_dict(self) -> dict[str, Any]:
        if self._finite is None:
            return {}
        self._finite.read()
        window = self._finite.window
        losses = {} if window is None else {"losses": window.losses.cpu()}
        return {"skipped": self._finite.skipped, **losses} if self._finite.skipped or losses else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        with resuming():
            check(state_dict, _STATE, f"callbacks.{self.state_key}")
        self._skipped = state_dict["skipped"]
        self._losses = state_dict.get("losses")

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        assert isinstance(pl_module, LanguageModel)
        self._finite = pl_module.finite
        self._finite.resume_from(self._skipped)
        if self._skips_spikes:
            self._finite.window = LossWindow(self._losses)

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
        self._tell(finite, step)
        if self._skipped:
            pl_module.log("train/skipped_steps", float(self._skipped), batch_size=1)
        if finite.in_row >= self._limit:
            raise self._end(trainer, step, finite.in_row, batches)
        self._before, self._batches = self._batches, []

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        assert isinstance(pl_module, LanguageModel)
        pl_module.finite.read()
        self._tell(pl_module.finite, trainer.global_step)

    def _tell(self, finite: FiniteSteps, step: int) -> None:
        if finite.skipped > self._skipped:
            is_spike = finite.spikes > self._spikes
            log.warning(
                "warning     %s: the step is skipped, as %s of the run",
                f"the loss of step {step:,} is a spike, over 6 deviations above the last {WINDOW}"
                if is_spike
                else f"the loss or the gradient of step {step:,} is not finite",
                "the first" if finite.skipped == 1 else f"number {finite.skipped:,}",
            )
        self._skipped, self._spikes = finite.skipped, finite.spikes

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
        faults = "a loss or gradient that is not finite" + (", or a loss spike" if self._skips_spikes else "")
        return UserError(
            f"{in_row} steps in a row, up to step {step:,}, have {faults}; the last "
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
