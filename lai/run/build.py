"""From a checked `RunConfig` to the objects of a run."""

import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import lightning
import torch
from hydra.utils import get_class, instantiate
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, Timer
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from lai.callbacks import foreign
from lai.callbacks.last_checkpoint import LastCheckpoint
from lai.callbacks.stop import StopBetweenBatches
from lai.config.load import flatten
from lai.config.schema import RunConfig
from lai.data.datamodule import CorpusDataModule
from lai.data.prepare import Corpus
from lai.host.errors import Interrupted, UserError, first_line
from lai.model.module import LanguageModel
from lai.model.transformer import ModelConfig
from lai.run.checkpoint_io import AtomicCheckpointIO
from lai.run.compile import check_compiling
from lai.run.folders import move_aside
from lai.run.loggers import LogExported, TensorBoard, number_by_steps_done

log = logging.getLogger(__name__)

_THREADS = torch.get_num_threads()
_CallbackType = TypeVar("_CallbackType", bound=Callback)


def choose_device(run: RunConfig) -> None:
    """Refuse an accelerator that this machine does not have, and set how float32 is multiplied."""
    accelerator = run.trainer["accelerator"]
    missing = {
        "cuda": not torch.cuda.is_available(),
        "gpu": not (torch.cuda.is_available() or torch.backends.mps.is_available()),
        "mps": not torch.backends.mps.is_available(),
    }
    if missing.get(accelerator, False):
        raise UserError(
            f"trainer.accelerator={accelerator}, but PyTorch finds no such device here; use trainer.accelerator=cpu "
            "or leave it out"
        )
    if run.device.compile is True and run.device.name == "cpu":
        check_compiling()
    if torch.cuda.is_available():  # nowhere else does it matter, and some versions of PyTorch warn when it is set
        torch.set_float32_matmul_precision("high" if run.device.tf32 else "highest")


@contextmanager
def within_memory() -> Iterator[None]:
    """For what takes memory in proportion to model and batch.

    Raises:
        UserError: there is not enough, of the processor or of the accelerator.
    """
    try:
        yield
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        raise UserError(
            "memory has run out; halve data.batch_size and double trainer.accumulate_grad_batches, lower data.seq_len, "
            "take a smaller model, or device.recompute_activations=true"
        ) from error


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, RuntimeError) and bool(re.search("out of memory|can't allocate memory", str(error)))


def build_module(run: RunConfig, config: ModelConfig, corpus: Corpus) -> LanguageModel:
    """The LightningModule, compiled in place where the device's settings say so."""
    vocab, limit = corpus.vocab, run.trainer.get("limit_val_batches")
    floor = corpus.floor if limit is None or (limit == 1 and isinstance(limit, float)) else None  # it is that of all
    references = {"val/loss_floor": floor.loss, "val/bpb_floor": floor.bpb} if floor else {}
    module = LanguageModel(
        config, vocab.to_bytes(), torch.from_numpy(vocab.byte_lengths.copy()), run.optimizer, run.schedule, references
    )
    module.model.recomputes_activations = bool(run.device.recompute_activations)
    if run.device.compile is True:  # in place: the names in checkpoints stay as they are
        torch.compiler.reset()  # what earlier jobs of a sweep compiled would count towards the most there may be
        if run.device.name == "cpu":
            module.model.compile_around_attention(run.data.batch_size)
        else:
            module.model.compile()
    return module


def build_datamodule(run: RunConfig, corpus: Corpus) -> CorpusDataModule:
    """The batches of a prepared corpus."""
    assert run.data.seq_len is not None
    return CorpusDataModule(
        corpus.token_files.train,
        corpus.token_files.val,
        seq_len=run.data.seq_len,
        batch_size=run.data.batch_size,
        seed=run.seed,
        num_workers=run.device.num_workers or 0,
        pin_memory=bool(run.device.pin_memory),
        drop_last=run.device.name == "mps",  # a last batch of another shape is compiled anew there
    )


def build_trainer(run: RunConfig, last: Callback) -> lightning.Trainer:
    """Lightning's Trainer with the configured loggers and callbacks, and `last` as the last callback.

    Raises:
        UserError: Lightning refuses an argument, or a callback does not go with the run; the line names its group.
    """
    for message in (
        ".*does not have many workers.*",  # slicing a mapped file needs none
        "GPU available but not used.*",  # trainer.accelerator=cpu was asked for
        "The `srun` command is available.*",  # outside of SLURM's jobs nobody needs it
        ".*exists and is not empty.*",  # the run's folder holds its config and log already
        ".*treespec, LeafSpec.*",
        ".*smaller than the logging interval.*",
        ".*The dirpath has changed.*",  # a resumed run keeps its checkpoints in a folder of its own
        ".*your dataloader is not resumable.*",  # the data module goes on where the checkpoint stopped
    ):
        warnings.filterwarnings("ignore", message)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch.profilers").setLevel(logging.INFO)  # its report, where a profiler is asked for
    _keep_metrics(Path(run.output_dir) / "metrics.csv")
    loggers = [_build_logger(f"logger.{name}", node) for name, node in run.logger.items()]
    callbacks: dict[str, Callback] = {
        f"callbacks.{name}": _instantiate(f"callbacks.{name}", node) for name, node in run.callbacks.items()
    }
    trainer: lightning.Trainer = _instantiate(
        "trainer",
        run.trainer,
        logger=loggers,
        callbacks=[*callbacks.values(), last, LogExported()],
        default_root_dir=run.output_dir,
    )
    number_by_steps_done(trainer)
    for key, callback in callbacks.items():
        foreign.refuse(key, callback, trainer)
    # What max_time ends has to be known by the callback that makes sure of a last validation.
    trainer.callbacks.sort(key=lambda callback: not isinstance(callback, Timer))  # type: ignore[attr-defined]
    _share_processors(run.device.threads, trainer.num_devices)
    if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # and none that the user gave
        trainer.strategy.checkpoint_io = AtomicCheckpointIO()
    return trainer


def _share_processors(threads: int | None, processes: int) -> None:
    """Set the threads of each of a run's processes; Lightning does not know what the user asks for."""
    share = _THREADS if "OMP_NUM_THREADS" in os.environ else max(1, _THREADS // processes)
    torch.set_num_threads(threads or share)  # an earlier job of a sweep may have set another number
    if processes > 1:
        os.environ["OMP_NUM_THREADS"] = str(threads or share)  # for those that Lightning starts; it leaves this alone


def _build_logger(key: str, node: dict[str, Any]) -> Logger:
    if get_class(node["_target_"]) is TensorBoardLogger:  # as conf/logger and the runs' config.yaml named it before
        node = node | {"_target_": f"{TensorBoard.__module__}.{TensorBoard.__qualname__}"}
    logger: Logger = _instantiate(key, node)
    return logger


@rank_zero_only
def _keep_metrics(path: Path) -> None:
    """Move the metrics of the run so far aside: the CSV logger would delete them."""
    move_aside(path)


def _instantiate(key: str, node: dict[str, Any], **runtime: Any) -> Any:
    try:
        return instantiate(node, _convert_="all", **runtime)
    except Exception as error:
        cause = error.__cause__ or error
        raise UserError(f"{key}: {first_line(cause)}") from error


def fit(
    trainer: lightning.Trainer, module: LanguageModel, datamodule: CorpusDataModule, ckpt_path: Path | None
) -> None:
    """Train, from `ckpt_path` on where one is given.

    Raises:
        UserError: the checkpoint belongs to another model, Lightning refuses the settings, or a callback fails.
        Interrupted: Ctrl-C or SIGTERM.
    """
    try:
        trainer.fit(module, datamodule=datamodule, ckpt_path=ckpt_path, weights_only=True)
    except SystemExit:  # how Lightning ends a program after Ctrl-C
        if not trainer.interrupted:
            raise
        stop, last = _callback(trainer, StopBetweenBatches), _callback(trainer, LastCheckpoint)
        if last is not None and trainer.global_step:
            log.info("stopped at step %s; go on with ckpt_path=%s", f"{trainer.global_step:,}", last.path)
        raise Interrupted(stop.received if stop else None) from None
    except Exception as error:
        if isinstance(error, UserError) or _is_out_of_memory(error):
            raise
        if mistake := foreign.named(error):
            raise mistake from error
        # Lightning refuses settings with the one, but more batches between validations than there are with the other.
        if isinstance(error, MisconfigurationException) or "val_check_interval" in str(error):
            raise UserError(f"trainer: {first_line(error)}") from error
        raise


def _callback(trainer: lightning.Trainer, kind: type[_CallbackType]) -> _CallbackType | None:
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return next((callback for callback in callbacks if isinstance(callback, kind)), None)


def log_settings(trainer: lightning.Trainer, run: RunConfig) -> None:
    """Log the run's settings, flat, so that TensorBoard's table compares runs; call it before `fit`."""
    settings = flatten({key: value for key, value in asdict(run).items() if key not in ("callbacks", "logger")})
    for logger in trainer.loggers:
        logger.log_hyperparams(settings)
