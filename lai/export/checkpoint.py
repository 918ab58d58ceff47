"""Reads what export needs from a checkpoint: config, vocabulary, weights and training record as plain data."""

import errno
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lai.export.lai_file import is_model_file
from lai.host.errors import UserError
from lai.model.record import TrainingRecord
from lai.model.transformer import ModelConfig
from lai.tokenizer.vocab import Vocab

_PREFIX = "model."


class Checkpoint(NamedTuple):
    """The content of a checkpoint: `weights` by the network's parameter names."""

    config: ModelConfig
    vocab: Vocab
    weights: dict[str, Tensor]
    training: TrainingRecord


def read_checkpoint(path: Path | str) -> Checkpoint:
    """Read a checkpoint of `lai.train` without running any code that is in it.

    Raises:
        UserError: the file is missing, damaged, or not a checkpoint of `lai.train`.
    """
    path = Path(path)
    try:
        # Mapped: the optimizer's state, twice as large as the weights, is never read.
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # the errors of the unpickler on other files have no common class
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # which mapping a truncated file raises
            raise UserError(f"cannot read the checkpoint {path}: {error.strerror}") from None
        if is_model_file(path):
            raise UserError(f"{path} is a model file; expected a checkpoint of lai.train (.ckpt)") from None
        raise UserError(
            f"{path} is not a whole checkpoint of lai.train: it is damaged, or another kind of file"
        ) from None
    saved = checkpoint.get("lai") if isinstance(checkpoint, dict) else None
    if not isinstance(saved, dict) or not {"config", "vocab"} <= saved.keys() or "state_dict" not in checkpoint:
        raise UserError(f"{path} is not a checkpoint of lai.train: it carries no config, vocabulary and weights")
    weights = {
        name.removeprefix(_PREFIX): tensor
        for name, tensor in checkpoint["state_dict"].items()
        if name.startswith(_PREFIX)
    }
    vocab = Vocab.from_bytes(saved["vocab"].numpy().tobytes(), name=str(path))
    return Checkpoint(ModelConfig(**saved["config"]), vocab, weights, _training(checkpoint))


def _training(checkpoint: dict[str, Any]) -> TrainingRecord:
    """The record in a checkpoint; those of earlier versions of lai.train have the steps only."""
    found = checkpoint["lai"].get("training")
    if not isinstance(found, dict):
        found = {"steps": checkpoint.get("global_step", 0)}
    return TrainingRecord.read(**{item.name: found.get(item.name, 0) for item in fields(TrainingRecord)})
