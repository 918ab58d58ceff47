"""A mixture under Lightning's trainer: how long the run is, what each source gives to it, where it was interrupted."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

import lightning
import numpy as np
from numpy.typing import NDArray

from lai.data.languages import LANGUAGES
from lai.data.tokens.joined import Tokens, predictions
from lai.data.tokens.mixing import Length, MixedPacking, MixedSource
from lai.data.tokens.packing import Ints, TrainingPacking
from lai.host.errors import UserError


@dataclass(frozen=True)
class Part:
    """A source as batches need it; `weight` and `passes` as of `lai.data.prepare.SourceCorpus`."""

    name: str
    train: Tokens
    val: Tokens
    weight: float | None
    passes: float | None
    languages: NDArray[np.int8]


class MixedOrder:
    """The order of the rows of several sources, and the groups of documents that they are validated in.

    Args:
        batch_size: rows of a batch in each process.
        drop_last: a smaller last batch of an epoch is left out.
    """

    def __init__(self, parts: Sequence[Part], seq_len: int, batch_size: int, seed: int, drop_last: bool) -> None:
        self._parts = parts
        self._seq_len, self._batch_size, self._seed, self._drop_last = seq_len, batch_size, seed, drop_last
        self._packing: MixedPacking | None = None
        self._resumed: tuple[int, Mapping[str, Any]] = (0, {})

    @cached_property
    def weights(self) -> dict[str, float]:
        """The weight of each source, 1 for all together; by the predictions in them where none is given."""
        found = [float(predictions(part.train).sum()) if part.weight is None else part.weight for part in self._parts]
        return {part.name: weight / sum(found) for part, weight in zip(self._parts, found, strict=True)}

    def packing(self, trainer: lightning.Trainer | None) -> MixedPacking:
        """The order of the training rows, planned for the run of this trainer; made once.

        Raises:
            UserError: the sources may not be read as often as the run is long.
        """
        if self._packing is None:
            self._packing = self._planned(trainer)
            self._resume()
        return self._packing

    def _planned(self, trainer: lightning.Trainer | None) -> MixedPacking:
        sources, first = [], 0
        for part in self._parts:
            lengths = predictions(part.train)
            packing = TrainingPacking(lengths, self._seq_len, self._seed)
            weight = self.weights[part.name]
            sources.append(MixedSource(part.name, packing, first, int(lengths.sum()), weight, part.passes))
            first += len(lengths)
        mixed = MixedPacking(sources, self._seed, trainer.world_size if trainer else 1)
        if trainer is not None:
            mixed.measure(self._length(trainer, mixed.n_rows))
        if mixed.n_rows and not mixed.lasts:
            raise UserError(_too_long(mixed))
        return mixed

    def _length(self, trainer: lightning.Trainer, rows: int) -> Length:
        step = self._batch_size * trainer.world_size
        batches = rows // step if self._drop_last else -(-rows // step)
        limit: int | float = trainer.limit_train_batches
        batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
        if not batches:  # whoever makes the batches tells it
            return Length()
        visited = min(rows, batches * step)
        epochs = math.inf if trainer.max_epochs in (None, -1) else float(trainer.max_epochs)
        if trainer.max_steps != -1:
            every = trainer.accumulate_grad_batches
            whole, rest = divmod(trainer.max_steps, math.ceil(batches / every))
            epochs = min(epochs, whole + min(visited, rest * every * step) / visited)
        return Length(visited, epochs)

    def state(self, trainer: lightning.Trainer) -> dict[str, Any]:
        """What a checkpoint needs to go on in the epoch that the trainer is in, and to find the token files."""
        packing = self.packing(trainer)
        taken = packing.taken(trainer.current_epoch)
        return {
            part.name: digests | {"before": taken.before[number], "rows": [rows[number] for rows in taken.parts]}
            for number, (part, digests) in enumerate(zip(self._parts, self._digests, strict=True))
        }

    @cached_property
    def _digests(self) -> list[dict[str, str]]:
        """Of each source's token files, as their meta.json has them."""
        return [
            {"train": sha256(part.train.offsets.data).hexdigest(), "val": part.val.digest()} for part in self._parts
        ]

    def val_digest(self) -> str:
        """A digest of what `val/loss` is measured on: the documents to validate with, and the weights of sources."""
        found = [
            (digests["val"], self.weights[part.name]) for part, digests in zip(self._parts, self._digests, strict=True)
        ]
        return sha256(json.dumps(found).encode()).hexdigest()

    def load_state(self, epoch: int, state: Mapping[str, Any]) -> None:
        """Go on in an epoch as `state` has left it."""
        self._resumed = epoch, state
        self._resume()

    def _resume(self) -> None:
        epoch, state = self._resumed
        if self._packing is None or not (epoch or state):
            return
        before = {name: source["before"] for name, source in state.items()}
        parts = zip(*(source["rows"] for source in state.values()), strict=False)
        self._packing.start_from(epoch, before, [dict(zip(state, rows, strict=True)) for rows in parts])

    @cached_property
    def groups(self) -> list[tuple[str, str | None]]:
        """The source of each group of documents to validate with, and their language where that is known."""
        return [(name, None if language < 0 else LANGUAGES[language]) for name, language, _ in self._members]

    @cached_property
    def documents(self) -> list[Ints]:
        """The numbers of each group's documents among those of all sources."""
        return [documents for *_, documents in self._members]

    @cached_property
    def _members(self) -> list[tuple[str, int, Ints]]:
        found, first = [], 0
        for part in self._parts:
            for language in np.unique(part.languages).tolist():
                found.append((part.name, language, first + np.flatnonzero(part.languages == language)))
            first += len(part.languages)
        return found


def _too_long(mixed: MixedPacking) -> str:
    most = "; ".join(
        f"{source.name} {planned.most:,g} x {source.predictions:,}"
        for source, planned in zip(mixed.sources, mixed.planned(), strict=True)
    )
    all_of_an_epoch = sum(source.predictions for source in mixed.sources)
    if mixed.length.epochs == math.inf:
        return f"data.sources have less than an epoch of {all_of_an_epoch:,} tokens with max_epochs ({most})"
    return (
        f"the run is {mixed.length.epochs:.4g} epochs of {all_of_an_epoch:,} tokens, more than data.sources give with "
        f"their max_epochs ({most} tokens); raise data.max_epochs, or make the run shorter"
    )
