"""Validation batches, each of one group of documents."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from toy_tokens import SEQ_LEN, every_target, targets, token_file

from lai.data.tokens.batches import PackedDataset
from lai.data.tokens.groups import GroupedBatchSampler, GroupedDataset


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_each_prediction_comes_once_in_a_batch_of_its_group(tmp_path: Path, world_size: int, batch_size: int) -> None:
    sizes = np.random.default_rng(0).integers(2, 50, 60)
    file = token_file(tmp_path / "x.bin", sizes)
    members = np.random.default_rng(1).choice(3, 60, p=(0.7, 0.25, 0.05))
    groups = [np.flatnonzero(members == number) for number in range(3)]
    dataset = GroupedDataset(PackedDataset(file, SEQ_LEN))
    found: Counter[int] = Counter()
    shares = []
    for rank in range(world_size):
        sampler = GroupedBatchSampler(groups, sizes - 1, SEQ_LEN, batch_size, rank=rank, world_size=world_size)
        batches = [dataset[plan] for plan in sampler]
        assert len(batches) == len(sampler)
        for batch in batches:
            owners = np.searchsorted(np.asarray(file.offsets) + 10, targets([batch]), "right") - 1
            assert {members[owner] for owner in owners} <= {int(batch["group"])}
        found.update(targets(batches))
        shares.append([(int(batch["group"]), len(batch["tokens"])) for batch in batches])
    assert found == Counter(every_target(file))
    assert all(share == shares[0] for share in shares)  # or processes would wait for each other


def test_the_first_batches_are_of_all_groups(tmp_path: Path) -> None:
    sizes = np.full(120, SEQ_LEN + 1)
    groups = [np.arange(0, 80), np.arange(80, 120)]
    order = [group for group, _ in GroupedBatchSampler(groups, sizes - 1, SEQ_LEN, 4)]
    assert len(order) == 30
    for count in (3, 9, 15):
        assert order[:count].count(1) == pytest.approx(count / 3, abs=1)
