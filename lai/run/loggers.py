"""A run's loggers: one step number for all of them, the settings, and the end of the run."""

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.loops.fit_loop import _FitLoop
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.trainer.connectors.logger_connector.logger_connector import _LoggerConnector
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.tensorboard.summary import hparams

from lai.callbacks.export import ExportModel
from lai.config.load import flatten
from lai.config.schema import RunConfig
from lai.host.files import FULL
from lai.run.folders import move_aside

_IN_THE_TABLE = ("val/loss", "val/bpb", "val_exported/loss", "val_exported/bpb")


class TensorBoard(TensorBoardLogger):
    """Lightning's logger for TensorBoard, without two points that break a run's curves.

    Lightning's own draws a curve of the epoch, and draws the metrics beside the settings as points of step 0.
    TensorBoard's data server then takes the run for one that has started again, and drops every other point.
    """

    _end: Any = None

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        super().log_metrics({name: value for name, value in metrics.items() if name != "epoch"}, step)

    @rank_zero_only
    def log_hyperparams(self, params: Any, metrics: dict[str, Any] | None = None, step: int | None = None) -> None:
        """Put the settings into TensorBoard's table; `metrics` names the curves whose last values stand beside them.

        Call it before the first point is logged: the table then also has runs that are not over and runs that failed.
        """
        super().log_hyperparams(params, {})  # keeps them for hparams.yaml, and writes nothing else
        settings = self._sanitize_params(dict(self.hparams))
        experiment, start, self._end = hparams(  # type: ignore[no-untyped-call]
            settings, dict.fromkeys(metrics or _IN_THE_TABLE, 0.0)
        )
        for summary in (experiment, start):
            self.experiment._get_file_writer().add_summary(summary)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if self._end is not None and status == "success":
            self.experiment._get_file_writer().add_summary(self._end)
            self._end = None
        super().finalize(status)


class LogExported(Callback):
    """Logs the metrics of the exported weights, which need not be the last, as one point at the end of the run."""

    def teardown(self, trainer: lightning.Trainer, *_: Any, **__: Any) -> None:  # after the export, loggers still open
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if not isinstance(callback, ExportModel):
                continue
            found = {name.replace("val/", "val_exported/"): value for name, value in callback.metrics.items()}
            for logger in trainer.loggers:
                if isinstance(logger, TensorBoard):
                    logger.log_metrics(
                        {name: found[name] for name in _IN_THE_TABLE if name in found}, trainer.global_step
                    )


class _StepsDone(_TrainingEpochLoop):
    """Gives loggers and callbacks the number of optimizer steps done, as checkpoints and the log have it.

    Lightning's own number counts finished batches, and a batch is finished only after its validation. The current step
    counts here, so that what is logged at the start of its batch has the same number as what is logged at its end.
    """

    @property
    def _batches_that_stepped(self) -> int:
        batches: Any = self.batch_progress.current
        is_in_step = batches.ready > batches.processed or self._should_accumulate()
        return self.global_step + (is_in_step and self.trainer.training)

    @_batches_that_stepped.setter
    def _batches_that_stepped(self, value: int) -> None:
        """Ignore Lightning's own counting."""


class _LogsAtSteps(_LoggerConnector):
    """Logs when the number of steps done is a multiple of `trainer.log_every_n_steps`."""

    @property
    def should_update_logs(self) -> bool:
        loop, every = self.trainer._active_loop, self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every == 0 or not isinstance(loop, _FitLoop):
            return super().should_update_logs
        return self.trainer.should_stop or loop.epoch_loop._batches_that_stepped % every == 0


def number_by_steps_done(trainer: lightning.Trainer) -> None:
    """Number everything that any logger or callback logs by the optimizer steps done."""
    loop = trainer.fit_loop.epoch_loop
    trainer.fit_loop.epoch_loop = _StepsDone(trainer, min_steps=loop.min_steps, max_steps=loop.max_steps)
    trainer._logger_connector = _LogsAtSteps(trainer)


@rank_zero_only
def keep_metrics(output_dir: Path | str) -> None:
    """Rename the metrics of the run so far: the CSV logger would delete them."""
    move_aside(Path(output_dir) / "metrics.csv")


def log_settings(trainer: lightning.Trainer, run: RunConfig) -> None:
    """Log the run's settings, flat, so that TensorBoard's table compares runs; call it before `fit`."""
    settings = flatten({key: value for key, value in asdict(run).items() if key not in ("callbacks", "logger")})
    for logger in trainer.loggers:
        logger.log_hyperparams(settings)


@contextmanager
def closing(loggers: list[Logger]) -> Iterator[None]:
    """Close what loggers leave open after a run, so that the next job of a sweep starts its own."""
    status, hook = 1, threading.excepthook
    threading.excepthook = partial(_report, hook)
    try:
        yield
        status = 0
    finally:
        threading.excepthook = hook
        if any(isinstance(logger, WandbLogger) for logger in loggers) and "wandb" in sys.modules:
            sys.modules["wandb"].finish(exit_code=status)  # else the next job's logger would add to this one's run
        for logger in loggers:
            if isinstance(logger, TensorBoardLogger) and logger._experiment is not None:
                # Its thread's error ends the run where the next point is logged; a second one would hide the first.
                with nullcontext() if status == 0 else suppress(OSError):
                    logger._experiment.close()


def _report(hook: Callable[[Any], Any], args: Any) -> None:
    """Print no traceback for TensorBoard's thread on a full disk: the training thread gets the same error."""
    if not isinstance(args.exc_value, OSError) or args.exc_value.errno not in FULL:
        hook(args)
