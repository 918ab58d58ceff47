"""Batches of packed rows, by hand and over whole epochs."""

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from properties import examples
from toy_tokens import SEQ_LEN, every_target, module, targets, token_file

from lai.data.tokens.batches import PackedBatchSampler, PackedDataset
from lai.data.tokens.packing import TrainingPacking, ValidationPacking
from lai.data.tokens.token_file import TokenFile
from lai.host.errors import UserError


def test_a_batch_by_hand(tmp_path: Path) -> None:
    file = token_file(tmp_path / "x.bin", [3, 4, 9])  # 10 11 12 | 13 14 15 16 | 17 … 25
    rows = [np.array([[1, 0, 3], [0, 0, 2]]), np.array([[2, 3, 5]]), np.zeros((0, 3), np.int64)]
    batch = PackedDataset(file, 6)[rows]
    assert batch["tokens"].tolist() == [[13, 14, 15, 10, 11, 0], [20, 21, 22, 23, 24, 0], [0] * 6]
    assert batch["targets"].tolist() == [[14, 15, 16, 11, 12, -100], [21, 22, 23, 24, 25, -100], [-100] * 6]
    assert batch["documents"].tolist() == [[0, 0, 0, 1, 1, -1], [0, 0, 0, 0, 0, -1], [-1] * 6]
    assert {tensor.dtype for tensor in batch.values()} == {torch.int64}


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_epoch_predicts_each_token_once_after_the_token_before_it(
    train: TokenFile, val: TokenFile, num_workers: int
) -> None:
    data = module(train, val, num_workers=num_workers)
    for loader, file in ((data.train_dataloader(), train), (data.val_dataloader(), val)):
        batches = list(loader)
        assert len(batches) == len(loader)
        assert sorted(targets(batches)) == every_target(file)
        for batch in batches:
            used = batch["targets"] >= 0
            assert (batch["targets"] - batch["tokens"])[used].unique().tolist() == [1]
            assert torch.equal(batch["documents"] >= 0, used)


def test_a_documents_number_is_shared_by_its_predictions_alone(train: TokenFile, val: TokenFile) -> None:
    starts = np.asarray(train.offsets) + 10
    for batch in module(train, val).train_dataloader():
        for tokens, numbers in zip(batch["tokens"], batch["documents"], strict=True):
            owners = np.searchsorted(starts, tokens[numbers >= 0].numpy(), side="right")
            pairs = set(zip(owners.tolist(), numbers[numbers >= 0].tolist(), strict=True))
            assert len(pairs) == len({owner for owner, _ in pairs}) == len({number for _, number in pairs})


def test_processes_share_an_epoch(train: TokenFile, val: TokenFile) -> None:
    for world_size, batch_size in itertools.product((2, 3), (1, 4)):
        for packing, file, repeat in (
            (TrainingPacking(np.diff(train.offsets).astype(np.int64) - 1, SEQ_LEN, 0), train, True),
            (ValidationPacking(np.diff(val.offsets).astype(np.int64) - 1, SEQ_LEN), val, False),
        ):
            shares = [
                [PackedDataset(file, SEQ_LEN)[plan] for plan in sampler]
                for rank in range(world_size)
                for sampler in [
                    PackedBatchSampler(packing, batch_size, rank=rank, world_size=world_size, repeat=repeat)
                ]
            ]
            sizes = [[len(batch["tokens"]) for batch in share] for share in shares]
            assert all(size == sizes[0] for size in sizes)
            seen = Counter(target for share in shares for target in targets(share))
            assert sorted(seen) == every_target(file)
            if not repeat:
                assert set(seen.values()) == {1}
            else:
                assert sum(seen.values()) - len(seen) <= (world_size - 1) * SEQ_LEN


def test_drop_last_leaves_only_whole_batches(train: TokenFile, val: TokenFile) -> None:
    whole, every = (module(train, val, drop_last=drop_last).train_dataloader() for drop_last in (True, False))
    assert [len(batch["tokens"]) for batch in whole] == [4] * len(whole)
    assert len(whole) == len(every) - 1
    with pytest.raises(UserError, match=r"less than one batch of 1000 rows.*data\.batch_size"):
        module(train, val, drop_last=True, batch_size=1000).train_dataloader()


def test_an_epoch_can_begin_at_any_batch(train: TokenFile, val: TokenFile) -> None:
    loader = module(train, val).train_dataloader()
    sampler = loader.sampler
    assert isinstance(sampler, PackedBatchSampler)
    sampler.set_epoch(2)
    whole = [batch["targets"] for batch in loader]
    sampler.set_epoch(3)
    following = [batch["targets"] for batch in loader]
    sampler.start_at(2, 5)
    rest = [batch["targets"] for batch in loader]
    assert len(loader) == len(whole)
    assert len(rest) == len(whole) - 5 and all(map(torch.equal, rest, whole[5:]))
    sampler.set_epoch(3)
    again = [batch["targets"] for batch in loader]
    assert len(again) == len(following) and all(map(torch.equal, again, following))


@examples
@given(sizes=st.lists(st.integers(2, 12) | st.integers(2, 50), min_size=1, max_size=30), seed=st.integers(0, 99))
def test_any_documents_give_each_token_once_after_the_token_before_it(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], seed: int
) -> None:
    file = token_file(tmp_path_factory.mktemp("any") / "x.bin", sizes)
    predictions = np.array(sizes) - 1
    for packing in (TrainingPacking(predictions, SEQ_LEN, seed), ValidationPacking(predictions, SEQ_LEN)):
        rows = packing.epoch(1)
        batch = PackedDataset(file, SEQ_LEN)[[rows[index] for index in range(len(rows))]]
        assert sorted(targets([batch])) == every_target(file)
        used = batch["targets"] >= 0
        assert (batch["targets"] - batch["tokens"])[used].unique().tolist() == [1]
