"""Reads what export needs from a checkpoint: config, vocabulary, weights and training record as plain data."""

from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from lai.export.checkpoint_file import read_plain
from lai.export.checkpoint_schema import WEIGHTS, check_checkpoint, lora_of
from lai.host.errors import UserError
from lai.model.lora import merged
from lai.model.manifest import Content, from_json
from lai.model.record import TrainingRecord
from lai.model.transformer import ModelConfig
from lai.tokenizer.vocab import Vocab


class Checkpoint(NamedTuple):
    """The content of a checkpoint: `weights` by the network's parameter names; `run` is empty where it is unknown."""

    config: ModelConfig
    vocab: Vocab
    weights: dict[str, Tensor]
    training: TrainingRecord
    run: str = ""
    manifest: Content | None = None


def read_checkpoint(path: Path | str, *, merges: bool = True) -> Checkpoint:
    """Read a checkpoint of `lai.train` without running any code that is in it.

    Args:
        merges: give the weights of a plain network, with low-rank factors (`lai.model.lora`) added to them. Otherwise
            the weights are those of the file.

    Raises:
        UserError: the file is missing, damaged, or not a checkpoint of `lai.train`.
    """
    # Mapped: the optimizer's state, twice as large as the weights, is read for its checksum only.
    content = read_content(path, mapped=True)
    saved = content["lai"]
    weights = {
        name.removeprefix(WEIGHTS): tensor for name, tensor in content["state_dict"].items() if name.startswith(WEIGHTS)
    }
    if merges and (lora := lora_of(saved)) is not None:
        weights = merged(weights, lora)
    vocab = Vocab.from_bytes(saved["vocab"].numpy().tobytes(), name=str(path))
    config = ModelConfig(**saved["config"])
    if len(vocab) != config.vocab_size:
        raise UserError(f"{path}: its config says {config.vocab_size} tokens, its vocabulary holds {len(vocab)}")
    manifest = from_json(saved["manifest"].encode(), str(path)) if "manifest" in saved else None
    return Checkpoint(config, vocab, weights, _training(content), saved.get("run", ""), manifest)


def read_content(path: Path | str, *, mapped: bool, verified: bool = True) -> dict[str, Any]:
    """All that is in a checkpoint, as plain data whose entries are those of its format.

    Args:
        mapped, verified: as `read_plain` takes them.

    Raises:
        UserError: as `read_checkpoint`.
    """
    path = Path(path)
    content = read_plain(path, mapped=mapped, verified=verified)
    try:
        check_checkpoint(content)
    except UserError as error:
        raise UserError(f"{path} cannot be read as a checkpoint: {error}") from None
    return content


def run_of(path: Path) -> str | None:
    """The name of the run that a checkpoint is of, "" in those of earlier versions; None for any other file."""
    if path.is_symlink() or not path.is_file():
        return None
    try:
        return str(read_content(path, mapped=True, verified=False)["lai"].get("run", ""))
    except UserError:
        return None


def _training(content: dict[str, Any]) -> TrainingRecord:
    """The record in a checkpoint; those of earlier versions of lai.train have the steps only."""
    found = content["lai"].get("training")
    if not isinstance(found, dict):
        found = {"steps": content["global_step"]}
    return TrainingRecord.read(**{item.name: found.get(item.name, 0) for item in fields(TrainingRecord)})
