"""What a run's loggers are told: one number of steps for all of them, the settings, and that the run is over."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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

_IN_THE_TABLE = ("val/loss", "val/bpb", "val_exported/loss", "val_exported/bpb")


class TensorBoard(TensorBoardLogger):
    """Lightning's logger for TensorBoard, without what spoils a run's curves.

    Lightning's draws a curve of the epoch, and the metrics beside the settings as points of step 0: TensorBoard's data
    server then takes the run for one that has begun again, and drops every other point.
    """

    _end: Any = None

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        super().log_metrics({name: value for name, value in metrics.items() if name != "epoch"}, step)

    @rank_zero_only
    def log_hyperparams(self, params: Any, metrics: dict[str, Any] | None = None, step: int | None = None) -> None:
        """Put the settings into TensorBoard's table, where `metrics` names the curves whose last values stand beside.

        To be called before the first point is logged, so that the table has runs that go on and runs that failed, too.
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
    """Draws the metrics of the exported weights, which need not be the last, as one point where the run ends."""

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
    """Gives loggers and callbacks the number of optimizer steps done, which is also that of checkpoints and the log.

    Lightning's own number is that of the batches that are over, and a batch is over only after its validation. The step
    that is being done counts, so that what is logged as its batch begins stands beside what is logged as it ends.
    """

    @property
    def _batches_that_stepped(self) -> int:
        batches: Any = self.batch_progress.current
        is_in_step = batches.ready > batches.processed or self._should_accumulate()
        return self.global_step + (is_in_step and self.trainer.training)

    @_batches_that_stepped.setter
    def _batches_that_stepped(self, value: int) -> None:
        """Lightning counts on, which says nothing new."""


class _LogsAtSteps(_LoggerConnector):
    """Logs when the number of steps done is a multiple of `trainer.log_every_n_steps`."""

    @property
    def should_update_logs(self) -> bool:
        loop, every = self.trainer._active_loop, self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every == 0 or not isinstance(loop, _FitLoop):
            return super().should_update_logs
        return self.trainer.should_stop or loop.epoch_loop._batches_that_stepped % every == 0


def number_by_steps_done(trainer: lightning.Trainer) -> None:
    """Let everything that is logged, by whichever logger or callback, be numbered by the optimizer steps done."""
    loop = trainer.fit_loop.epoch_loop
    trainer.fit_loop.epoch_loop = _StepsDone(trainer, min_steps=loop.min_steps, max_steps=loop.max_steps)
    trainer._logger_connector = _LogsAtSteps(trainer)


@contextmanager
def closing(loggers: list[Logger]) -> Iterator[None]:
    """Close what loggers leave open behind a run, so that the next job of a sweep begins with its own."""
    status = 1
    try:
        yield
        status = 0
    finally:
        if any(isinstance(logger, WandbLogger) for logger in loggers) and "wandb" in sys.modules:
            sys.modules["wandb"].finish(exit_code=status)  # else the next job's logger would go on with this one's run
        for logger in loggers:
            if isinstance(logger, TensorBoardLogger) and logger._experiment is not None:
                logger._experiment.close()
