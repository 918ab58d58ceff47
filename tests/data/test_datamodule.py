"""The data module under Lightning's trainer."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from torch import Tensor

from lai.data.datamodule import CorpusDataModule
from lai.data.tokens.token_file import TokenFile, TokenWriter

SEQ_LEN = 16

Batch = dict[str, Tensor]


def token_file(path: Path, sizes: Iterable[int]) -> TokenFile:
    """Documents of which each token occurs once in the whole file, so that a prediction is known by its target."""
    sizes = np.array(list(sizes))
    with TokenWriter(path, "uint32") as writer:
        writer.add(np.arange(10, 10 + sizes.sum()), sizes, 0)
    return TokenFile(path, "uint32")


@pytest.fixture
def train(tmp_path: Path) -> TokenFile:
    return token_file(tmp_path / "train.bin", np.random.default_rng(0).integers(2, 40, 100))


@pytest.fixture
def val(tmp_path: Path) -> TokenFile:
    return token_file(tmp_path / "val.bin", [2, 100, 17, 18, *range(2, 30)])


def every_target(file: TokenFile) -> list[int]:
    return [token for index in range(len(file)) for token in file.document(index)[1:].tolist()]


def targets(batches: Iterable[Batch]) -> list[int]:
    return [target for batch in batches for target in batch["targets"][batch["targets"] >= 0].tolist()]


def module(train: TokenFile, val: TokenFile, **settings: int) -> CorpusDataModule:
    return CorpusDataModule(train, val, **{"seq_len": SEQ_LEN, "batch_size": 4, "seed": 1, **settings})  # type: ignore[arg-type]


class Recorder(lightning.LightningModule):
    """Notes what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.epochs: dict[int, list[int]] = {}
        self.validated: list[int] = []

    def training_step(self, batch: Batch, index: int) -> Tensor:
        self.epochs.setdefault(self.current_epoch, []).extend(targets([batch]))
        return self.weight.sum()

    def validation_step(self, batch: Batch, index: int) -> None:
        if not self.trainer.sanity_checking:
            self.validated += targets([batch])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_lightning_gets_another_order_each_epoch(train: TokenFile, val: TokenFile, tmp_path: Path) -> None:
    recorder, data = Recorder(), module(train, val)
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=3,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(recorder, datamodule=data)
    assert trainer.global_step == 3 * len(data.train_dataloader()) == trainer.estimated_stepping_batches
    assert [sorted(seen) for seen in recorder.epochs.values()] == [every_target(train)] * 3
    assert recorder.epochs[0] != recorder.epochs[1] != recorder.epochs[2]
    assert Counter(recorder.validated) == Counter(every_target(val) * 3)
