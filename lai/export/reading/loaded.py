"""`lai.load`: a model of any file, for programs and notebooks."""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from lai.export.reading.source import read_stored
from lai.export.reading.stored import StoredModel
from lai.host.errors import UserError
from lai.model.manifest import Content
from lai.model.record import TrainingRecord
from lai.model.transformer import ModelConfig, Transformer
from lai.tokenizer.vocab import Vocab


class LoadedModel:
    """A model in memory, with float32 weights; `lai.load` makes it.

    Attributes:
        config: its shape.
        vocab: its vocabulary; None where the model is another program's, which LAi gives ids only.
        training: how far it was trained; 0 is unknown.
        manifest: what its run has recorded of itself (docs/runs.md); None where the file has none.
        path: the file or folder that was read.
    """

    def __init__(self, stored: StoredModel) -> None:
        self._stored = stored
        self._network: Transformer | None = None
        self.config: ModelConfig = stored.config
        self.vocab: Vocab | None = stored.vocab
        self.training: TrainingRecord = stored.training
        self.manifest: Content | None = stored.manifest
        self.path: Path = stored.path

    def __repr__(self) -> str:
        parameters, _ = self.config.parameter_counts()
        return f"<{self._stored.kind} {self.path}: {parameters:,} parameters>"

    def build(self) -> Transformer:
        """The network in evaluation mode, the same one each time; it shares this object's weights.

        Raises:
            UserError: the tables of the positions do not fit into the memory.
        """
        if self._network is None:
            self._network = self._stored.build()
        return self._network

    @torch.inference_mode()
    def logits(self, ids: Iterable[int] | Tensor) -> Tensor:
        """The logits of each next token, float32.

        Args:
            ids: (T,) the ids of one text, or a tensor (B, T) of several of the same length; a text begins with
                `Vocab.BOS`, as in training.

        Returns:
            (T, vocab_size), or (B, T, vocab_size).

        Raises:
            UserError: an id is not in the vocabulary, there is none, or there are more than the context holds.
        """
        tokens = torch.as_tensor(ids if isinstance(ids, Tensor) else list(ids), dtype=torch.long)
        if tokens.ndim not in (1, 2) or not tokens.numel():
            raise UserError(f"the ids have the shape {list(tokens.shape)}; expected (T,) or (B, T), none of them 0")
        if not 0 <= int(tokens.min()) <= int(tokens.max()) < self.config.vocab_size:
            raise UserError(f"an id is not in this vocabulary, whose ids are 0 to {self.config.vocab_size - 1}")
        if tokens.shape[-1] > self.config.max_seq_len:
            raise UserError(f"there are {tokens.shape[-1]} ids; this model's context holds {self.config.max_seq_len}")
        found: Tensor = self.build()(tokens if tokens.ndim == 2 else tokens[None])
        return found if tokens.ndim == 2 else found[0]

    def encode(self, text: str | bytes, *, markup: bool = False) -> list[int]:
        """The ids of a text, without `Vocab.BOS`.

        Args:
            markup: chat tags in the text are tokens of their own; without it they are literal text.

        Raises:
            UserError: the model has a tokenizer of its own.
        """
        vocab = self._stored.known_vocab()
        return vocab.encode(text) if markup else vocab.encode_text(text)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; control tokens have none, bytes that are no UTF-8 become U+FFFD.

        Raises:
            UserError: the model has a tokenizer of its own, or an id is not in its vocabulary.
        """
        return self._stored.known_vocab().decode(map(int, ids)).decode("utf-8", "replace")


def load(path: Path | str) -> LoadedModel:
    """Load a model from a model file, a checkpoint, a GGUF file, a Hugging Face folder or the folder of a run.

    >>> import lai
    >>> model = lai.load("models/lai-tiny.gguf")  # doctest: +SKIP
    >>> model.logits([1, *model.encode("Szia!")]).shape  # doctest: +SKIP
    torch.Size([4, 8000])

    Raises:
        UserError: as `read_stored`.
    """
    return LoadedModel(read_stored(path))
