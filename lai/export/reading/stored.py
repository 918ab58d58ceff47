"""A model as it was read from a file or folder: its shape, weights, vocabulary, and where it comes from."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lai.export.checkpoint import Checkpoint
from lai.export.lai_file import build_network, tensor_shapes
from lai.host.errors import UserError
from lai.host.memory import check_memory
from lai.model.manifest import Content
from lai.model.record import UNKNOWN, TrainingRecord
from lai.model.transformer import ModelConfig, Transformer
from lai.tokenizer.vocab import Vocab

NO_TEXT = "has a tokenizer of its own, LAi reads ids only"


@dataclass(frozen=True)
class StoredModel:
    """The content of any file that holds a model.

    Attributes:
        path: the file or folder that was read.
        kind: what it is, for a person.
        dtype: of the matrices in it; in memory they are float32.
        weights: by the network's parameter names.
        vocab: None where the model is another program's, with a tokenizer that LAi does not read.
        run: the name of the run; "" where it is unknown.
        manifest: what the run has recorded of itself (`lai.model.manifest`); None where the file has none.
    """

    path: Path
    kind: str
    dtype: str
    config: ModelConfig
    weights: dict[str, Tensor]
    vocab: Vocab | None = None
    training: TrainingRecord = UNKNOWN
    run: str = ""
    manifest: Content | None = None

    @property
    def is_rounded(self) -> bool:
        """Whether the weights were rounded to blocks of 8 or 4 bits."""
        return any(dtype in self.dtype for dtype in ("q8_0", "q4_0"))

    def with_text(self) -> Checkpoint:
        """The same for whoever needs its vocabulary, too.

        Raises:
            UserError: LAi has no vocabulary of it.
        """
        return Checkpoint(self.config, self.known_vocab(), self.weights, self.training, self.run, self.manifest)

    def known_vocab(self) -> Vocab:
        """The vocabulary.

        Raises:
            UserError: LAi has none.
        """
        if self.vocab is None:
            raise UserError(f"{self.path} {NO_TEXT}")
        return self.vocab

    def build(self) -> Transformer:
        """The network in evaluation mode; it shares this object's weights.

        Raises:
            UserError: as `build_network`.
        """
        return build_network(self.config, self.weights, str(self.path))


def check_room(config: ModelConfig, name: str) -> None:
    """Refuse weights that do not fit into the memory as float32, before it is taken.

    Raises:
        UserError: as `check_memory`.
    """
    check_memory(4 * sum(math.prod(shape) for _, shape in shapes(config).items()), f"{name} as float32")


def shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """The shape of each parameter of the network; a tied output matrix has none of its own."""
    return {
        name: shape for name, shape in tensor_shapes(config) if not (config.tie_embeddings and name == "output.weight")
    }


def check_names(name: str, expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> None:
    """Compare the tensors in a file, by their names there, with those that the shape of its model asks for.

    Raises:
        UserError: one is missing, unknown, or of another shape.
    """
    for tensor, shape in expected.items():
        if tensor not in found:
            raise UserError(f"{name} has no {tensor}; it is not whole, or its settings are another model's")
        if found[tensor] != shape:
            raise UserError(f"{name}: {tensor} has the shape {list(found[tensor])}, its settings say {list(shape)}")
    if other := sorted(found.keys() - expected.keys()):
        raise UserError(f"{name} has the tensor {other[0][:80]}, for which LAi's network has no place")


def check_finite(name: str, tensor: str, weights: Tensor) -> None:
    """Refuse weights with infinities or NaN.

    Raises:
        UserError: there is one.
    """
    if not all(torch.isfinite(value) for value in weights.aminmax()):
        raise UserError(f"{name}: {tensor} holds a value that is not finite; the training diverged or it is damaged")


def shown(value: Any) -> str:
    """A value of a file of unknown origin, for a message: short, on one line."""
    return " ".join(repr(value).split())[:60]


def training_of(text: Any) -> TrainingRecord:
    """The record of training in a JSON text of unknown origin; what is impossible is unknown."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return UNKNOWN
    if not isinstance(found, dict):
        return UNKNOWN
    return TrainingRecord.read(**{name: value for name, value in found.items() if name in UNKNOWN.__dict__})
