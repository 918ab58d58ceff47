"""Hands a trained model over as one file when fit ends."""

import logging
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, Timer
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from torch import Tensor

from lai.callbacks.last_checkpoint import LastCheckpoint
from lai.export.checkpoint import read_checkpoint
from lai.export.verify import ExportReport, export_model
from lai.host.errors import UserError
from lai.model.module import LanguageModel
from lai.model.record import TrainingRecord
from lai.tokenizer.vocab import Vocab

log = logging.getLogger(__name__)


class ExportModel(Callback):
    """Writes the model file when fit ends, also by `max_time`, `max_steps` or early stopping.

    The weights are those of the best checkpoint by `val/loss` where there is one, also from before the run was resumed
    (but with other validation documents), else the last ones. Wherever a run ends it validates, so that the last
    weights take part in the choice. Weights that a callback puts in place when training ends, such as the average of
    StochasticWeightAveraging, are validated, too, and are those that are written.
    """

    def __init__(self, path: Path | str, dtype: str = "f32") -> None:
        self.path = Path(path)
        self.dtype = dtype
        self.report: ExportReport | None = None
        self.trained = False
        self.metrics: dict[str, float] = {}
        """The validation metrics of the exported weights; before the end those of the lowest `val/loss` so far."""
        self.final_loss: tuple[str, float] | None = None
        """The name and value of the loss of the last weights: `val/loss`, or `train/loss` without validation."""
        self._last_metrics: dict[str, float] = {}
        # Fingerprints of weights: what the run began with, what was validated last, and what had the lowest val/loss.
        self._first: dict[str, int] = {}
        self._validated: dict[str, int] = {}
        self._validated_step = -1
        self._lowest: dict[str, int] = {}
        self._is_exchanged = False  # whether a callback exchanges the weights for validation
        self._is_put_in_place = False  # whether one did it when training had ended
        self._has_changed = False
        self._earlier: Path | None = None  # the best checkpoint of the run that this one goes on from

    def state_dict(self) -> dict[str, Any]:
        return {"metrics": self.metrics, "weights": self._lowest}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.metrics = state_dict["metrics"]
        self._lowest = state_dict.get("weights", {})

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._first = _fingerprint(pl_module)
        callback = self._by_loss(trainer)
        if getattr(trainer.datamodule, "val_changed", False):  # type: ignore[attr-defined]
            self.metrics = {}
            self._forget_best(trainer)
        if callback is not None and callback.best_model_path:
            self._earlier = Path(callback.best_model_path)

    def on_validation_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._validated, self._validated_step = _fingerprint(pl_module), trainer.global_step

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        found = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        if trainer.sanity_checking or "val/loss" not in found:
            return
        if not math.isfinite(found["val/loss"]):
            self._give_up(trainer, found["val/loss"])
        self._last_metrics = found
        self._is_exchanged = self._is_exchanged or _fingerprint(pl_module) != self._validated
        if found["val/loss"] < self.metrics.get("val/loss", math.inf):
            self.metrics, self._lowest = found, self._validated

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        self.trained = True
        # Lightning validates where something asks it to stop, but not where its limits end a run between validations.
        if _is_last_batch(trainer):
            trainer.should_stop = True
            trainer.fit_loop.min_epochs = trainer.fit_loop.epoch_loop.min_steps = None
        if trainer.should_stop and trainer.check_val_every_n_epoch is not None:
            trainer.check_val_every_n_epoch = 1

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        found = _fingerprint(pl_module)
        self._has_changed = found != self._first
        is_new = bool(self._last_metrics) and found != self._validated
        if not trainer.strategy.reduce_boolean_decision(is_new, all=False):
            return
        self._is_put_in_place = self._validated_step == trainer.global_step and not self._is_exchanged
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.monitor:
                callback._last_global_step_saved = 0  # it saves once a step
        trainer.validating = True
        trainer.fit_loop.epoch_loop.val_loop.run()
        trainer.training = True

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        assert isinstance(pl_module, LanguageModel)
        weights = self._last_weights(trainer, pl_module)
        if not trainer.is_global_zero:
            return
        if not self.trained:
            raise UserError(
                f"{trainer.ckpt_path or 'this run'} has nothing left to train up to {_limits(trainer)}; raise the "
                "limit, or hand over what it holds with lai-export"
            )
        if not self._has_changed:
            raise UserError(
                "training has changed no weight, so no model file is written; raise optimizer.lr and "
                "optimizer.embedding_lr, or let a callback that averages weights begin earlier"
            )
        vocab = Vocab.from_bytes(pl_module.vocab)
        training = pl_module.training_record(trainer.global_step)
        self.final_loss = _final_loss(trainer, self._last_metrics)
        best, weights, training = self._choose(trainer, weights, training)
        try:
            self.report = export_model(self.path, pl_module.config, weights, vocab, self.dtype, training)
        except OSError as error:
            last = (callback.path for callback in trainer.checkpoint_callbacks if isinstance(callback, LastCheckpoint))
            kept = best or next(last, None)
            hint = f"; the weights are kept: lai-export {kept} --output FILE" if kept else ""
            raise UserError(f"{self.path} cannot be written: {error.strerror}{hint}") from error
        log.debug("exported %s", self.report)

    def _choose(
        self, trainer: lightning.Trainer, weights: dict[str, Tensor], training: TrainingRecord
    ) -> tuple[Path | None, dict[str, Tensor], TrainingRecord]:
        """The weights to write with their record, their metrics in `self.metrics`, and the checkpoint they are from.

        `weights` and `training` are those in memory.
        """
        best = self._best_checkpoint(trainer)
        if best is not None and self._is_put_in_place:
            lowest, found = self.metrics["val/loss"], self._last_metrics["val/loss"]
            if lowest < found:
                log.info(
                    "a callback put other weights in place at the end, with val/loss %.4f: they are exported; the "
                    "lowest val/loss, %.4f, is that of %s, for lai-export",
                    found,
                    lowest,
                    best,
                )
            best = None
        validated = self._validated
        if best is not None:
            try:
                checkpoint = read_checkpoint(best)
                weights, training, validated = checkpoint.weights, checkpoint.training, self._lowest
            except UserError as error:
                log.warning("warning     %s; the weights in memory are exported instead", error)
                best = None
        if best is None:
            self.metrics = self._last_metrics
        # Shards have other bits than whole weights; a pruned model has other names while it trains.
        is_whole = (
            isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy) and validated.keys() <= weights.keys()
        )
        if is_whole and validated and validated != _sums((name, weights[name]) for name in validated):
            log.warning(
                "warning     val/loss %.4f is not that of the exported weights: a callback exchanges weights for "
                "validation and does not put them into checkpoints",
                self.metrics["val/loss"],
            )
        return best, weights, training

    @staticmethod
    def _last_weights(trainer: lightning.Trainer, pl_module: LanguageModel) -> dict[str, Tensor]:
        state = trainer.strategy.lightning_module_state_dict()  # gathers the shards under FSDP, so on every process
        return {name.removeprefix("model."): value for name, value in state.items() if name.startswith("model.")}

    def _best_checkpoint(self, trainer: lightning.Trainer) -> Path | None:
        """The checkpoint with the lowest `val/loss`, and its metrics in `self.metrics`; None where there is none."""
        callback = self._by_loss(trainer)
        if callback is None or not self.metrics:
            return None
        score = math.inf if callback.best_model_score is None else float(callback.best_model_score)
        lowest = self.metrics["val/loss"]
        own = Path(callback.best_model_path) if score < math.inf else None
        best = own if score <= lowest else self._earlier
        if best is not None and best.is_file():
            return best
        if best is not None:
            log.info("the lowest val/loss, %.4f, was that of %s, which is gone", lowest, best)
        if own is None or not own.is_file():
            return None
        self.metrics, self._lowest = {"val/loss": score}, {}
        return own

    @staticmethod
    def _by_loss(trainer: lightning.Trainer) -> ModelCheckpoint | None:
        """The callback that keeps the checkpoint with the lowest `val/loss`."""
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.monitor == "val/loss" and callback.save_top_k:
                return callback
        return None

    @staticmethod
    def _forget_best(trainer: lightning.Trainer) -> None:
        """Let the next validation be the best so far; the files stay."""
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            worst = torch.tensor(-math.inf if getattr(callback, "mode", "min") == "max" else math.inf)
            if isinstance(callback, ModelCheckpoint) and callback.monitor:
                callback.best_k_models = {}
                callback.best_model_score = None
                callback.best_model_path = callback.kth_best_model_path = ""
                callback.kth_value = worst
            elif isinstance(callback, EarlyStopping):
                callback.wait_count = 0
                callback.best_score = worst

    @staticmethod
    def _give_up(trainer: lightning.Trainer, loss: float) -> NoReturn:
        """End a run whose weights are no good, without writing them over the last checkpoint that is."""
        kept = ""
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint):
                callback.save_on_exception = False
                kept = kept or (callback.best_model_path if callback.monitor else "")
        hint = f", or hand over the best weights before: lai-export {kept}" if kept else ""
        raise UserError(
            f"val/loss is {loss} at step {trainer.global_step}: training diverged; begin again with a lower "
            f"optimizer.lr{hint}"
        )


def _final_loss(trainer: lightning.Trainer, last_metrics: dict[str, float]) -> tuple[str, float] | None:
    found: dict[str, Any] = {**trainer.callback_metrics, **last_metrics}
    return next(((name, float(found[name])) for name in ("val/loss", "train/loss") if name in found), None)


def _fingerprint(pl_module: lightning.LightningModule) -> dict[str, int]:
    """Of this process's part of the network: what other weights have another one of."""
    assert isinstance(pl_module, LanguageModel)
    return _sums(pl_module.model.named_parameters())


def _sums(weights: Iterable[tuple[str, Tensor]]) -> dict[str, int]:
    """The bits of each weight added up as whole numbers, which gives the same on every device."""
    kinds = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    sums = {
        name: weight.detach().reshape(-1).view(kinds[weight.element_size()]).sum(dtype=torch.int64)
        for name, weight in weights
    }
    return dict(zip(sums, torch.stack(list(sums.values())).tolist(), strict=True))


def _is_last_batch(trainer: lightning.Trainer) -> bool:
    """Whether the run's steps or epochs end with this batch."""
    is_last_epoch = trainer.max_epochs is not None and 0 < trainer.max_epochs <= trainer.current_epoch + 1
    return 0 < trainer.max_steps <= trainer.global_step or (is_last_epoch and trainer.is_last_batch)


def _limits(trainer: lightning.Trainer) -> str:
    """What ends the run, as the settings name it."""
    timer = next((callback for callback in trainer.callbacks if isinstance(callback, Timer)), None)  # type: ignore[attr-defined]
    limits = {
        "max_epochs": trainer.max_epochs,
        "max_steps": trainer.max_steps,
        "max_time": timer and timer._duration and f"{timer._duration:.0f} s",
    }
    return ", ".join(f"trainer.{name} {limit}" for name, limit in limits.items() if limit not in (None, -1))
