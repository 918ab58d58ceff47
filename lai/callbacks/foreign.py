"""Lightning's and users' callbacks: refuses those that cannot work, and names the one that an error came from."""

import importlib.util
from types import TracebackType

import lightning
from lightning.pytorch.callbacks import (
    BatchSizeFinder,
    Callback,
    Checkpoint,
    DeviceStatsMonitor,
    GradientAccumulationScheduler,
    LearningRateFinder,
    OnExceptionCheckpoint,
    WeightAveraging,
)
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy

from lai.host.errors import UserError, first_line

_REFUSED = {
    LearningRateFinder: "looks for one learning rate, and a run has two; compare some: -m optimizer.lr=1e-3,2e-3",
    BatchSizeFinder: "cannot change data.batch_size; data.batch_size=auto finds one that fits",
    GradientAccumulationScheduler: (
        "changes how many batches a step has, which the learning rate and resuming rely on; set "
        "trainer.accumulate_grad_batches"
    ),
    # With it Lightning resumes from a last.ckpt that it finds in the folder, without being asked to.
    OnExceptionCheckpoint: "is not needed: callbacks.last writes last.ckpt where a run fails, too; leave it out",
}

# Lightning's functions that call callbacks; the callback is their variable `callback`.
_CALLERS = {
    "_call_callback_hooks",
    "_call_callbacks_state_dict",
    "_call_callbacks_on_save_checkpoint",
    "_call_callbacks_on_load_checkpoint",
    "_call_callbacks_load_state_dict",
}


def refuse(key: str, callback: Callback, trainer: lightning.Trainer) -> None:
    """Refuse a callback that cannot work in this run.

    Args:
        key: the callback's key in the config, for the message.

    Raises:
        UserError: the callback cannot work in this run.
    """
    name = f"{key}: {type(callback).__name__}"
    for kind, reason in _REFUSED.items():
        if isinstance(callback, kind):
            raise UserError(f"{name} {reason}")
    if isinstance(callback, DeviceStatsMonitor):
        on_cpu = trainer.strategy.root_device.type == "cpu" and callback._cpu_stats is None
        if (callback._cpu_stats or on_cpu) and importlib.util.find_spec("psutil") is None:
            raise UserError(f"{name} needs the package psutil for the figures of a CPU: pip install psutil")
    if isinstance(callback, WeightAveraging):
        if not isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy):
            raise UserError(f"{name} needs whole weights in each process; use trainer.strategy=ddp, or leave it out")
        callback._use_buffers = False  # buffers hold constants, which averaging would change


def named(error: Exception) -> UserError | None:
    """An error of a foreign callback, or of a state in a checkpoint, as one line that names it; None for any other."""
    found = _raised_by(error.__traceback__)
    if found is None:
        return None
    callback, hook = found
    if type(callback).__module__.startswith("lai."):
        if hook != "load_state_dict":
            return None
        name = type(callback).__name__
        return UserError(f"the checkpoint cannot be resumed: callbacks.{name} is not as {name} writes it")
    if isinstance(error, OSError) and isinstance(callback, Checkpoint):  # a full disk is not the callback's fault
        return None
    return UserError(
        f"callbacks: {type(callback).__name__} fails in {hook} with {type(error).__name__}: {first_line(error)}; "
        "HYDRA_FULL_ERROR=1 shows where"
    )


def _raised_by(traceback: TracebackType | None) -> tuple[Callback, str] | None:
    """The innermost callback that a traceback goes through, and its method."""
    found = None
    while traceback is not None:
        frame, following = traceback.tb_frame, traceback.tb_next
        callback = frame.f_locals.get("callback")
        if frame.f_code.co_name in _CALLERS and isinstance(callback, Callback) and following is not None:
            found = callback, frame.f_locals.get("hook_name") or following.tb_frame.f_code.co_name
        traceback = following
    return found
