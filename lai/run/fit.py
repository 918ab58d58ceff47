"""Training: Lightning's `fit`; interruptions and errors become one line each."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import lightning
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback

from lai.callbacks import foreign
from lai.callbacks.last_checkpoint import LastCheckpoint
from lai.callbacks.stop import StopBetweenBatches
from lai.config.schema import RunConfig
from lai.data.datamodule import CorpusDataModule
from lai.host.errors import Interrupted, UserError, first_line
from lai.host.files import FULL, with_home
from lai.host.signals import received
from lai.model.module import LanguageModel
from lai.run.loggers import closing, log_settings

log = logging.getLogger(__name__)

_SMALLER = (
    "halve data.batch_size and double trainer.accumulate_grad_batches, lower data.seq_len, take a smaller model, or "
    "device.recompute_activations=true"
)

_CallbackType = TypeVar("_CallbackType", bound=Callback)


def fit(run: RunConfig, trainer: lightning.Trainer, module: LanguageModel, datamodule: CorpusDataModule) -> None:
    """Train; resume from `run.ckpt_path` where one is given. Log the settings first; close the loggers at the end.

    Raises:
        UserError: the checkpoint belongs to another model, Lightning refuses the settings, or a callback fails.
        Interrupted: a signal has stopped the run.
    """
    ckpt_path = None if run.ckpt_path is None else with_home(run.ckpt_path)
    try:
        with closing(trainer.loggers):
            log_settings(trainer, run)
            trainer.fit(module, datamodule=datamodule, ckpt_path=ckpt_path, weights_only=True)
    except SystemExit:  # how Lightning ends a program after Ctrl-C
        if not trainer.interrupted:
            raise
        raise _interrupted(trainer) from None
    except Exception as error:
        mistake = _full(run, trainer, error) if isinstance(error, OSError) else _mistake(error)
        if mistake is None:
            raise
        raise mistake from error


def _interrupted(trainer: lightning.Trainer) -> Interrupted:
    """The exception that ends a run which a signal has stopped."""
    stop, last = _callback(trainer, StopBetweenBatches), _callback(trainer, LastCheckpoint)
    step = f"{trainer.global_step:,}"
    if last is not None and last.saved_step is not None:
        since = "" if last.saved_step == trainer.global_step else f" from step {last.saved_step:,}"
        log.info("stopped at step %s; resume%s with ckpt_path=%s", step, since, last.path)
    elif last is not None and trainer.global_step:
        kept = f"the checkpoint is still {trainer.ckpt_path}" if trainer.ckpt_path else "start again"
        log.info("stopped at step %s before a checkpoint was written; %s", step, kept)
    elif last is None:
        log.info("stopped at step %s; the run writes no last.ckpt to resume from", step)
    return Interrupted(received() or (stop.received if stop else None))


def _full(run: RunConfig, trainer: lightning.Trainer, error: OSError) -> UserError | None:
    """The line for a checkpoint or a logger that a full disk has stopped; None for any other error."""
    if error.errno not in FULL:
        return _mistake(error)
    name = error.filename or f"the metrics in {run.output_dir}"  # loggers' errors name no file
    last = _callback(trainer, LastCheckpoint)
    path = None if last is None or not last.path.is_file() else last.path
    hint = "start again" if path is None else f"resume with ckpt_path={path}"
    return UserError(f"{name} cannot be written: {error.strerror}; free space, then {hint}")


def _mistake(error: Exception) -> UserError | None:
    """The line for an error of a callback or of Lightning about its settings; None for any other error."""
    if isinstance(error, UserError) or _is_out_of_memory(error):
        return None
    if mistake := foreign.named(error):
        return mistake
    if worker := re.search(r"DataLoader worker \(pid.*?\) .*?(killed by signal: \w+|exited unexpectedly)", str(error)):
        return UserError(f"a process that loads batches has ended ({worker[1]}); resume from last.ckpt")
    # Lightning refuses settings with the one, but more batches between validations than there are with the other.
    if isinstance(error, MisconfigurationException) or "val_check_interval" in str(error):
        return UserError(f"trainer: {first_line(error)}")
    return None


@contextmanager
def within_memory(remedy: str = _SMALLER) -> Iterator[None]:
    """Turn running out of memory into one line with the remedies.

    Raises:
        UserError: the memory of the CPU or of the accelerator has run out.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        raise UserError(f"memory has run out; {remedy}") from error


def _is_out_of_memory(error: Exception) -> bool:
    is_told = isinstance(error, RuntimeError) and re.search("out of memory|can't allocate memory", str(error))
    return isinstance(error, MemoryError) or bool(is_told)


def _callback(trainer: lightning.Trainer, kind: type[_CallbackType]) -> _CallbackType | None:
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return next((callback for callback in callbacks if isinstance(callback, kind)), None)
