"""Exports the trained model as one file when fit ends."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, Timer
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from torch import Tensor

from lai.callbacks.best_weights import BestWeights
from lai.callbacks.fingerprint import sums
from lai.callbacks.last_checkpoint import LastCheckpoint
from lai.callbacks.last_validation import ValidateLastWeights
from lai.callbacks.reset_scores import ResetScores
from lai.export.checkpoint import Checkpoint
from lai.export.formats import OtherExport, export_other, path_beside
from lai.export.verify import ExportReport, export_model
from lai.host.errors import UserError
from lai.model.lora import merged
from lai.model.module import LanguageModel
from lai.model.record import TrainingRecord
from lai.tokenizer.vocab import Vocab

log = logging.getLogger(__name__)


class ExportModel(Callback):
    """Writes the model file when fit ends, also by `max_time`, `max_steps` or early stopping.

    The weights are those of the best checkpoint by `val/loss` where there is one, also from before the run was resumed
    (but with other validation documents), else the last ones. Wherever a run ends it validates, so that the last
    weights take part in the choice. Weights that a callback puts in place when training ends, such as the average of
    StochasticWeightAveraging, are validated, too, and are those that are written. A finished run that is started again
    only exports.

    The trainer needs all of `callbacks`, in this order.
    """

    def __init__(self, path: Path | str, dtype: str = "f32", formats: Sequence[str] = ("lai",)) -> None:
        """See the class.

        Args:
            path: of the model file.
            dtype: of its matrices, and of those of the other formats.
            formats: those of `lai.config.schema.EXPORT_FORMATS` that stand beside it under the same stem.
        """
        self.path = Path(path)
        self.dtype = dtype
        self.formats = [name for name in formats if name != "lai"]
        self.report: ExportReport | None = None
        self.others: list[OtherExport] = []
        self.final_loss: tuple[str, float] | None = None
        """The name and value of the loss of the last weights: `val/loss`, or `train/loss` without validation."""
        self._has_trained = False
        self._best = BestWeights()
        self._last_validation = ValidateLastWeights(self._best)

    @property
    def callbacks(self) -> list[Callback]:
        """This callback behind those that it relies on."""
        return [ResetScores(self._best), self._best, self._last_validation, self]

    @property
    def metrics(self) -> dict[str, float]:
        """The validation metrics of the exported weights; before the end those of the lowest `val/loss` so far."""
        return self._best.metrics

    def on_train_batch_end(self, *_: Any) -> None:
        self._has_trained = True

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        assert isinstance(pl_module, LanguageModel)
        if not self._has_trained and trainer.global_step and self._best.may_lack_last(trainer, pl_module):
            self._last_validation.validate(trainer)
        weights = _last_weights(trainer)
        if not trainer.is_global_zero:
            return
        if not self._has_trained:  # as after a kill in the export
            if not trainer.global_step:
                raise UserError(f"{_limits(trainer)} leaves nothing to train; raise the limit")
            hint = "" if pl_module.lacks_state else "; raise the limit to train on"
            log.info("nothing is left to train up to %s: the run's weights are exported%s", _limits(trainer), hint)
        elif not self._best.have_changed:
            raise UserError(
                "training has changed no weight, so no model file is written; raise optimizer.lr and "
                "optimizer.embedding_lr, or let a callback that averages weights begin earlier"
            )
        vocab = Vocab.from_bytes(pl_module.vocab)
        training = pl_module.training_record(trainer.global_step)
        self.final_loss = _final_loss(trainer, self._best.last_metrics)
        best, weights, training = self._choose(trainer, weights, training)
        if pl_module.lora is not None:
            weights = merged(weights, pl_module.lora)
        manifest = pl_module.manifest.at(training, self.metrics)
        try:
            self.report = export_model(self.path, pl_module.config, weights, vocab, self.dtype, training, manifest)
        except OSError as error:
            last = (callback.path for callback in trainer.checkpoint_callbacks if isinstance(callback, LastCheckpoint))
            kept = best or next(last, None)
            hint = f"; the weights are kept: lai-export {kept} --output FILE" if kept else ""
            raise UserError(f"{self.path} cannot be written: {error.strerror}{hint}") from error
        log.debug("exported %s", self.report)
        self._export_others(Checkpoint(pl_module.config, vocab, weights, training, manifest=manifest))

    def _export_others(self, model: Checkpoint) -> None:
        """Write the other formats. The model file is written: whatever goes wrong here is a warning."""
        for name in self.formats:
            try:
                found = export_other(name, path_beside(name, self.path), model, self.dtype)
            except Exception as error:  # packages of others write and read here
                what = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
                log.warning("warning     export.formats=%s: %s; %s is written", name, what, self.path)
            else:
                self.others.append(found)
                log.debug("exported %s", found)

    def _choose(
        self, trainer: lightning.Trainer, weights: dict[str, Tensor], training: TrainingRecord
    ) -> tuple[Path | None, dict[str, Tensor], TrainingRecord]:
        """The weights to write with their record, their metrics in `self.metrics`, and the checkpoint they are from.

        Args:
            weights: those in memory.
            training: the record of those in memory.
        """
        found = self._best
        best = found.checkpoint(trainer)
        if best is not None and self._last_validation.were_put_in_place:
            lowest, last = found.metrics["val/loss"], found.last_metrics["val/loss"]
            if lowest < last:
                log.info(
                    "a callback put other weights in place at the end, with val/loss %.4f: they are exported; the "
                    "lowest val/loss, %.4f, is that of %s, for lai-export",
                    last,
                    lowest,
                    best,
                )
            best = None
        validated = found.validated
        if best is not None:
            try:
                module = trainer.lightning_module
                assert isinstance(module, LanguageModel)
                checkpoint = found.read(best, module)
                weights, training, validated = checkpoint.weights, checkpoint.training, found.lowest
            except UserError as error:
                log.warning("warning     %s; the weights in memory are exported instead", error)
                best = None
        if best is None:
            found.metrics = found.last_metrics
        # Shards have other bits than whole weights; a pruned model has other names while it trains.
        is_whole = (
            isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy) and validated.keys() <= weights.keys()
        )
        if is_whole and validated and validated != sums((name, weights[name]) for name in validated):
            log.warning(
                "warning     val/loss %.4f is not that of the exported weights: a callback exchanges weights for "
                "validation and does not put them into checkpoints",
                self.metrics["val/loss"],
            )
        return best, weights, training


def _last_weights(trainer: lightning.Trainer) -> dict[str, Tensor]:
    """The network's weights in memory, by its parameter names."""
    state = trainer.strategy.lightning_module_state_dict()  # gathers the shards under FSDP, so on every process
    return {name.removeprefix("model."): value for name, value in state.items() if name.startswith("model.")}


def _final_loss(trainer: lightning.Trainer, last_metrics: dict[str, float]) -> tuple[str, float] | None:
    found: dict[str, Any] = {**trainer.callback_metrics, **last_metrics}
    return next(((name, float(found[name])) for name in ("val/loss", "train/loss") if name in found), None)


def _limits(trainer: lightning.Trainer) -> str:
    """What ends the run, as the settings name it."""
    timer = next((callback for callback in trainer.callbacks if isinstance(callback, Timer)), None)  # type: ignore[attr-defined]
    limits = {
        "max_epochs": trainer.max_epochs,
        "max_steps": trainer.max_steps,
        "max_time": timer and timer._duration and f"{timer._duration:.0f} s",
    }
    return ", ".join(f"trainer.{name} {limit}" for name, limit in limits.items() if limit not in (None, -1))
