"""`init_from`: the model whose weights a run begins with, and what its manifest says of it."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lai.config.schema import RunConfig
from lai.export.reading.source import digest_of, read_stored
from lai.export.reading.stored import StoredModel
from lai.host.errors import UserError
from lai.host.files import with_home
from lai.model.lineage import as_parent
from lai.model.manifest import Content
from lai.model.module import LanguageModel
from lai.tokenizer.vocab import Vocab

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Initial:
    """What a run begins with.

    Attributes:
        path: `init_from`.
        vocab: the vocabulary, which the run keeps.
        model: the model; None in a run that resumes its checkpoint, which has the weights.
        parent: the entry of the run's manifest.
    """

    path: Path
    vocab: Vocab
    model: StoredModel | None
    parent: Content | None

    def vocab_reader(self, others: Callable[[Path], Vocab]) -> Callable[[Path], Vocab]:
        """Reads `data.vocab_path`: that of the model is read already. `others` reads any other."""
        return lambda path: self.vocab if path == self.path else others(path)

    def give_weights(self, module: LanguageModel) -> None:
        """Put the model's weights into the run's network.

        Raises:
            UserError: the file was replaced since the run's settings were taken from it.
        """
        if self.model is None:
            return
        context = {"max_seq_len": module.config.max_seq_len}
        ours, theirs = module.config.to_dict(), self.model.config.to_dict() | context
        if any(not _equal(ours[name], theirs[name]) for name in ours):
            raise UserError(f"init_from={self.path} was replaced while the run started; start it again")
        module.model.load_state_dict(self.model.weights)
        self.model.weights.clear()  # they are copied, and the run needs the memory

    def lines(self, max_seq_len: int) -> Iterator[str]:
        """What a person should know of it before the run starts.

        Args:
            max_seq_len: the context of the run.
        """
        if self.model is None:
            return
        training = self.model.training
        known = [f"{training.steps:,} steps"] if training.steps else []
        known += [f"{training.tokens:,} tokens seen"] if training.tokens else []
        known += [f"val/loss {training.val_loss:.4f} on its own text"] if training.val_loss else []
        yield f"{self.path}, a {self.model.kind}: {', '.join(known) or 'how it was trained is unknown'}"
        if self.model.is_rounded:
            yield f"note: its weights are rounded to {self.model.dtype}; its checkpoint or an f32 file is more exact"
        if max_seq_len > (trained := self.model.config.max_seq_len):
            yield (
                f"note: model.max_seq_len is {max_seq_len:,}, and these weights have seen positions up to {trained:,}; "
                "they learn the later ones from rows of that length alone"
            )


def read_initial(run: RunConfig) -> Initial | None:
    """What a run with `init_from` begins with; None for any other run.

    A run that resumes reads its checkpoint alone: the file of `init_from` may be gone.

    Raises:
        UserError: the file cannot be read, or its model has a tokenizer of its own.
    """
    if run.init_from is None:
        return None
    path = with_home(run.init_from)
    if run.ckpt_path is not None:
        saved = read_stored(run.ckpt_path)
        parent = (saved.manifest or {}).get("parent")
        return Initial(path, saved.known_vocab(), None, parent if isinstance(parent, dict) else None)
    model = read_stored(path)
    told = as_parent(
        path.name, digest_of(model.path), model.kind, model.dtype, model.run, model.training, model.manifest
    )
    return Initial(path, model.known_vocab(), model, told)


def _equal(one: object, other: object) -> bool:
    """Whether two settings are equal; model files and GGUF files have decimal numbers as float32."""
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= 1e-6 * abs(other)
    return one == other
