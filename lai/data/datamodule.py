"""Batches of packed documents for Lightning's `Trainer`."""

import hashlib
import logging
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import lightning
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from lai.data.mixed_order import MixedOrder, Part
from lai.data.tokens.answers import Answers
from lai.data.tokens.batches import PackedBatchSampler, PackedDataset
from lai.data.tokens.groups import GroupedBatchSampler, GroupedDataset
from lai.data.tokens.joined import Tokens, predictions
from lai.data.tokens.packing import TrainingPacking, ValidationPacking
from lai.host.errors import UserError
from lai.host.signals import ignore_in_worker

log = logging.getLogger(__name__)

Batches = DataLoader[dict[str, Tensor]]


class CorpusDataModule(lightning.LightningDataModule):
    """Batches {tokens, targets, documents}, each (batch_size, seq_len) int64, from token files.

    Each process reads its own share, so the trainer must have `use_distributed_sampler=False`. Every epoch has the same
    number of batches. Where several processes share few rows, a validation batch may hold no target.

    With `parts` each training row is of one part, and each validation batch of one group of one part, which `group`
    numbers in the batch; `groups` names them.

    Args:
        train, val: token files of `prepare_token_files`; of a mixture all of its parts'.
        seq_len: predictions in a row.
        batch_size: rows of a batch in each process; the last batch of an epoch may have fewer.
        seed: decides the order of training rows.
        drop_last: drop the last training batch if it is smaller.
        answers: by which the targets that count are found (`data.loss_on=answers`); None: all count.
        parts: the sources of a mixture.

    Raises:
        UserError: `drop_last` with less than one whole batch.
    """

    def __init__(
        self,
        train: Tokens,
        val: Tokens,
        *,
        seq_len: int,
        batch_size: int,
        seed: int,
        num_workers: int = 0,
        pin_memory: bool = False,
        drop_last: bool = False,
        answers: Answers | None = None,
        parts: Sequence[Part] = (),
    ) -> None:
        super().__init__()
        self._files = {"train": train, "val": val}
        self._seq_len, self._batch_size, self._seed = seq_len, batch_size, seed
        self._drop_last = drop_last
        self._answers = answers
        self.mixed = MixedOrder(parts, seq_len, batch_size, seed, drop_last) if parts else None
        self._start = (0, 0)  # the epoch and batch to resume at
        self.val_changed = False
        """Whether the run resumes from a checkpoint with other validation targets: their losses do not compare."""
        self._loading: dict[str, Any] = {
            "num_workers": num_workers,
            "pin_memory": pin_memory,
            "persistent_workers": num_workers > 0,
        }

    def state_dict(self) -> dict[str, Any]:
        """The place in the data, for checkpoints: the epoch, its finished batches, and digests of the documents."""
        assert self.trainer is not None
        done: int = self.trainer.fit_loop.epoch_loop.batch_progress.current.processed  # type: ignore[attr-defined]
        place = {"epoch": self.trainer.current_epoch, "batch": done, "order": self._order()}
        place |= {"train": self._train_digest, "val": self._val_digest}
        if self._answers is not None:
            place |= {"loss_on": "answers"}
        return place if self.mixed is None else place | {"sources": self.mixed.state(self.trainer)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._start = (state_dict["epoch"], state_dict["batch"])
        order = self._order()
        for name, saved in state_dict.get("order", {}).items():
            if saved != order[name]:
                message = "%s is %s, but %s in the checkpoint: training resumes at another place in the data"
                log.info(message, name, order[name], saved)
        if state_dict.get("train", self._train_digest) != self._train_digest:
            log.info("the training documents are not the checkpoint's: the run resumes at the same place in other data")
        self.val_changed = state_dict.get("val", self._val_digest) != self._val_digest
        if self.mixed is not None:
            self.mixed.load_state(state_dict["epoch"], state_dict.get("sources", {}))
        if self.val_changed:
            of_sources = "" if self.mixed is None else " or the weights of sources"
            log.info(
                "the validation documents%s are not the checkpoint's: earlier values of val/loss are ignored",
                of_sources,
            )
        saved, own = state_dict.get("loss_on", "all"), "all" if self._answers is None else "answers"
        if saved != own:
            self.val_changed = True
            message = "data.loss_on is %s, but %s in the checkpoint: other targets count from here on, %s"
            log.info(message, own, saved, "and earlier values of val/loss are ignored")

    def _order(self) -> dict[str, int]:
        """The settings on which the place of a batch in the data depends."""
        processes = self.trainer.world_size if self.trainer else 1
        settings = {"data.seq_len": self._seq_len, "data.batch_size": self._batch_size, "seed": self._seed}
        return settings | {"the number of processes": processes}

    @cached_property
    def _train_digest(self) -> str:
        """A digest of the documents' lengths, which decide the rows. Hashing all tokens could mean many gigabytes."""
        return hashlib.sha256(self._files["train"].offsets.data).hexdigest()

    @cached_property
    def _val_digest(self) -> str:
        return self._files["val"].digest() if self.mixed is None else self.mixed.val_digest()

    def train_dataloader(self) -> Batches:
        """Packed rows, shuffled anew every epoch."""
        file = self._files["train"]
        packing = (
            TrainingPacking(predictions(file), self._seq_len, self._seed)
            if self.mixed is None
            else self.mixed.packing(self.trainer)
        )
        rank, world_size = self._process()
        sampler = PackedBatchSampler(
            packing, self._batch_size, rank=rank, world_size=world_size, drop_last=self._drop_last
        )
        sampler.start_at(*self._start)
        loader = self._loader(PackedDataset(file, self._seq_len, self._answers), sampler)
        if not len(loader):
            raise UserError(
                f"the text fills {packing.n_rows} rows of {self._seq_len} tokens, less than one batch of "
                f"{self._batch_size} rows in each process; make data.batch_size or data.seq_len smaller"
            )
        return loader

    def val_dataloader(self) -> Batches:
        """Each prediction of the validation documents once, in a fixed order."""
        file = self._files["val"]
        dataset = PackedDataset(file, self._seq_len, self._answers)
        rank, world_size = self._process()
        if self.mixed is not None:
            groups, lengths = self.mixed.documents, predictions(file)
            plans = GroupedBatchSampler(
                groups, lengths, self._seq_len, self._batch_size, rank=rank, world_size=world_size
            )
            return self._loader(GroupedDataset(dataset), plans)
        packing = ValidationPacking(predictions(file), self._seq_len)
        sampler = PackedBatchSampler(packing, self._batch_size, rank=rank, world_size=world_size, repeat=False)
        return self._loader(dataset, sampler)

    def _process(self) -> tuple[int, int]:
        """Which process this is, and of how many."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _loader(self, dataset: Dataset[dict[str, Tensor]], sampler: Sampler[Any]) -> Batches:
        return DataLoader(dataset, sampler=sampler, batch_size=None, worker_init_fn=_start_worker, **self._loading)


def _start_worker(_: int) -> None:
    ignore_in_worker()
