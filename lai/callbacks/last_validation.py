"""Validates the last weights, wherever a run ends."""

from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from lai.callbacks.best_weights import BestWeights


class ValidateLastWeights(Callback):
    """Validates behind the last step, and again where a callback puts other weights in place when training ends.

    Lightning itself validates where a callback stops it, but not where its limits end a run between two validations.
    """

    def __init__(self, best: BestWeights) -> None:
        self._best = best
        self.were_put_in_place = False
        """Whether a callback, such as StochasticWeightAveraging, put other weights in place when training had ended."""

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        if _is_last_batch(trainer):
            trainer.should_stop = True
            trainer.fit_loop.min_epochs = trainer.fit_loop.epoch_loop.min_steps = None
        if trainer.should_stop and trainer.check_val_every_n_epoch is not None:
            trainer.check_val_every_n_epoch = 1

    def on_train_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        if not trainer.strategy.reduce_boolean_decision(not self._best.are_validated, all=False):
            return
        self.were_put_in_place = self._best.validated_step == trainer.global_step and not self._best.are_exchanged
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.monitor:
                callback._last_global_step_saved = 0  # it saves once a step
        self.validate(trainer)

    @staticmethod
    def validate(trainer: lightning.Trainer) -> None:
        """Validate the weights in memory, as inside training."""
        trainer.validating = True
        trainer.fit_loop.epoch_loop.val_loop.run()
        trainer.training = True


def _is_last_batch(trainer: lightning.Trainer) -> bool:
    """Whether the run's steps or epochs end with this batch."""
    is_last_epoch = trainer.max_epochs is not None and 0 < trainer.max_epochs <= trainer.current_epoch + 1
    return 0 < trainer.max_steps <= trainer.global_step or (is_last_epoch and trainer.is_last_batch)
