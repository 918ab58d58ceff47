"""The data module under Lightning's trainer."""

import os
import pickle
from collections import Counter
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from torch import Tensor
from toy_tokens import SEQ_LEN, Batch, every_target, module, targets, token_file

from lai.data.tokens.token_file import TokenFile
from lai.host.errors import UserError, message_of


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


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_token_file_that_is_cut_during_an_epoch_is_one_line(
    train: TokenFile, val: TokenFile, num_workers: int
) -> None:
    loader = module(train, val, num_workers=num_workers).train_dataloader()
    content = train.path.read_bytes()
    try:
        os.truncate(train.path, 2)
        with pytest.raises(UserError) as caught:
            list(loader)
    finally:
        train.path.write_bytes(content)
    assert "was cut while it was in use: it has 2 bytes" in message_of(caught.value)
    assert "\n" not in message_of(caught.value)


def test_a_spawned_worker_gets_the_path_of_a_file_and_opens_it_itself(tmp_path: Path) -> None:
    """What Windows and macOS send to a worker is pickled: tokens would be copied into each."""
    file = token_file(tmp_path / "big.bin", np.full(5000, 200))  # 4 MB of tokens
    loader = module(file, file, num_workers=2).train_dataloader()
    plan = next(iter(loader.sampler))
    expected = loader.dataset[plan]  # the file is open from here on
    sent = pickle.dumps((loader.dataset, loader.worker_init_fn, loader.collate_fn))
    assert len(sent) < 2000
    dataset = pickle.loads(sent)[0]
    found = dataset[plan]
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    # A batch's plan names documents: it grows with the batch, not with the file.
    assert len(pickle.dumps(plan)) < 4 * (1000 + SEQ_LEN * plan[0].itemsize)
