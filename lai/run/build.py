"""From a checked `RunConfig` to the objects of a run: module, data module and trainer."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import lightning
import torch
from hydra.utils import get_class, instantiate
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback, Timer
from lightning.pytorch.loggers import Logger, TensorBoardLogger

from lai.callbacks import foreign
from lai.callbacks.best_checkpoint import BestCheckpoint
from lai.callbacks.divergence import StopOnDivergence
from lai.callbacks.drop_state import DropState
from lai.callbacks.export import ExportModel
from lai.callbacks.last_checkpoint import LastCheckpoint
from lai.callbacks.loaded_state import CheckLoadedState
from lai.callbacks.settings import RunSettings
from lai.config.load import flatten
from lai.config.schema import RunConfig
from lai.data.datamodule import CorpusDataModule
from lai.data.mixed_order import Part
from lai.data.prepare import Corpus
from lai.host.errors import UserError, first_line
from lai.model.module import LanguageModel
from lai.model.transformer import ModelConfig
from lai.model.val_groups import Groups
from lai.run.checkpoint_io import AtomicCheckpointIO
from lai.run.device import set_threads
from lai.run.initial import Initial
from lai.run.loggers import LogExported, TensorBoard, keep_metrics, number_by_steps_done
from lai.run.quiet import hide_known_warnings
from lai.run.targets import Counting, answers_of


def build_module(
    run: RunConfig,
    config: ModelConfig,
    corpus: Corpus,
    initial: Initial | None = None,
    *,
    counting: Counting | None = None,
    groups: Groups | None = None,
) -> LanguageModel:
    """The LightningModule, compiled in place where the device's settings say so.

    Args:
        initial: the model whose weights it begins with; None: drawn weights.
        counting: the targets that count; None: all.
        groups: what the batches to validate with are of, in a mixture.
    """
    vocab, limit = corpus.vocab, run.trainer.get("limit_val_batches")
    is_whole = limit is None or (limit == 1 and isinstance(limit, float))
    is_whole = is_whole and (counting is None or counting.val.counting == counting.val.targets)
    references: dict[str, float] = {}
    if is_whole:  # floors are those of all targets of all documents
        floors = {"": corpus.floor} | {f"/{source.name}": source.floor for source in corpus.sources}
        for name, floor in floors.items():
            if floor is not None:
                references |= {f"val/loss{name}_floor": floor.loss, f"val/bpb{name}_floor": floor.bpb}
    byte_lengths = torch.from_numpy(vocab.byte_lengths.copy())
    module = LanguageModel(
        config,
        vocab.to_bytes(),
        byte_lengths,
        run.optimizer,
        run.schedule,
        references,
        unfolded=not run.data.normalize,
        turns=corpus.token_files.stats.train.turns,
        by_target=counting is not None,
        groups=groups,
    )
    if initial is not None:
        initial.give_weights(module)
    if run.model.lora.rank:
        module.add_lora(run.model.lora, run.seed)
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
        answers=answers_of(run, corpus),
        parts=[
            Part(
                source.name,
                source.token_files.train,
                source.token_files.val,
                source.weight,
                source.passes,
                source.languages,
            )
            for source in corpus.sources
        ],
    )


def groups_of(datamodule: CorpusDataModule) -> Groups | None:
    """What the batches to validate with are of, in a mixture."""
    mixed = datamodule.mixed
    return None if mixed is None else Groups(mixed.groups, mixed.weights)


def own_callbacks(run: RunConfig, export: ExportModel) -> list[Callback]:
    """The callbacks of LAi that act behind the configured ones, in their order."""
    dropping = [DropState()] if run.checkpoint.keep == "resume" else []
    divergence = StopOnDivergence(run.max_bad_steps, run.skip_spikes)
    return [RunSettings(flatten(asdict(run))), divergence, *export.callbacks, *dropping]


def build_trainer(run: RunConfig, own: Sequence[Callback]) -> lightning.Trainer:
    """Lightning's Trainer with the configured loggers and callbacks.

    Args:
        own: the callbacks that act behind the configured ones, such as `own_callbacks`.

    Raises:
        UserError: Lightning refuses an argument, or a callback does not go with the run; the line names its group.
    """
    hide_known_warnings()
    keep_metrics(run.output_dir)
    loggers = [_build_logger(f"logger.{name}", node) for name, node in run.logger.items()]
    callbacks = _build_callbacks(run)
    trainer: lightning.Trainer = _instantiate(
        "trainer",
        run.trainer,
        logger=loggers,
        callbacks=[*callbacks.values(), CheckLoadedState(), *own, LogExported()],
        default_root_dir=run.output_dir,
    )
    number_by_steps_done(trainer)
    for key, callback in callbacks.items():
        foreign.refuse(key, callback, trainer)
    _put_timers_first(trainer)
    set_threads(run.device.threads, trainer.num_devices)
    if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # and none that the user gave
        trainer.strategy.checkpoint_io = AtomicCheckpointIO(run.output_dir)
    return trainer


def _build_callbacks(run: RunConfig) -> dict[str, Callback]:
    """The configured callbacks by their keys; those of checkpoints keep what `checkpoint` says."""
    callbacks: dict[str, Callback] = {}
    for name, node in run.callbacks.items():
        callback: Callback = _instantiate(f"callbacks.{name}", node)
        if isinstance(callback, LastCheckpoint):
            callback.minutes = run.checkpoint.minutes
            if run.checkpoint.keep == "best":
                continue
        if isinstance(callback, BestCheckpoint):
            callback.keeps_state = run.checkpoint.keep == "all"
        callbacks[f"callbacks.{name}"] = callback
    return callbacks


def _build_logger(key: str, node: dict[str, Any]) -> Logger:
    if get_class(node["_target_"]) is TensorBoardLogger:  # as conf/logger and the runs' config.yaml named it before
        node = node | {"_target_": f"{TensorBoard.__module__}.{TensorBoard.__qualname__}"}
    logger: Logger = _instantiate(key, node)
    return logger


def _instantiate(key: str, node: dict[str, Any], **runtime: Any) -> Any:
    try:
        return instantiate(node, _convert_="all", **runtime)
    except Exception as error:
        cause = error.__cause__ or error
        raise UserError(f"{key}: {first_line(cause)}") from error


def _put_timers_first(trainer: lightning.Trainer) -> None:
    """Let the callback that forces a last validation know already whether max_time ends the run."""
    trainer.callbacks.sort(key=lambda callback: not isinstance(callback, Timer))  # type: ignore[attr-defined]
