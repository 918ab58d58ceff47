"""Where a step ends: whether a run's state is whole there, and what follows."""

import math
from typing import Any

import lightning
import torch
from torch import distributed


def step_is_done(trainer: lightning.Trainer, batch_idx: int) -> bool:
    """Whether the optimizer's step is done with this batch; call it when the batch ends."""
    return (batch_idx + 1) % trainer.accumulate_grad_batches == 0 or trainer.is_last_batch


def validation_may_follow(trainer: lightning.Trainer, batch_idx: int) -> bool:
    """Whether a validation or the end of an epoch follows this batch: a run resumed from here would not do it."""
    batches = batch_idx + 1
    if trainer.check_val_every_n_epoch is None:  # validations then come every so many batches of the whole run
        batches = trainer.fit_loop.total_batch_idx + 1
    return trainer.is_last_batch or batches % (trainer.val_check_batch or math.inf) == 0


def is_between_steps(trainer: lightning.Trainer) -> bool:
    """Whether a run can resume exactly from the state of this moment."""
    loop = trainer.fit_loop.epoch_loop
    epoch: Any = trainer.fit_loop.epoch_progress.current
    batches: Any = loop.batch_progress.current
    schedule = loop.scheduler_progress.current
    if trainer.validating or not batches.ready == batches.started == batches.processed:
        return False
    if schedule.ready != schedule.completed or loop._should_accumulate():
        return False
    if epoch.ready == epoch.started == epoch.processed:  # the epoch is over
        return bool(epoch.completed == epoch.processed - 1)
    return bool(batches.processed) and not validation_may_follow(trainer, batches.processed - 1)


class Agreement:
    """Lets all processes of a run agree, on their CPUs: to hear it from a GPU, a process would wait for its step."""

    def __init__(self) -> None:
        self._group: distributed.ProcessGroup | None = None
        if distributed.is_available() and distributed.is_initialized():
            self._group = distributed.new_group(backend="gloo")

    def any(self, own: bool) -> bool:
        """Whether it is true in one of the processes; all of them must call this."""
        if self._group is None:
            return own
        found = torch.tensor(own, dtype=torch.uint8)
        distributed.all_reduce(found, distributed.ReduceOp.MAX, self._group)
        return bool(found)
