"""A mixture in the data module: its length, its share for each process, its place in checkpoints."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from toy_tokens import SEQ_LEN, every_target, targets, token_file

from lai.data.datamodule import CorpusDataModule
from lai.data.mixed_order import Part
from lai.data.tokens.joined import JoinedTokens
from lai.data.tokens.token_file import TokenFile, TokenWriter
from lai.host.errors import UserError


def file_from(path: Path, first: int, sizes: np.ndarray) -> TokenFile:
    """Documents whose tokens occur nowhere else, from `first` on."""
    with TokenWriter(path, "uint32") as writer:
        writer.add(np.arange(first, first + sizes.sum()), sizes, 0)
    return TokenFile(path, "uint32")


def trainer(**settings: Any) -> Any:
    usual = {"world_size": 1, "global_rank": 0, "limit_train_batches": 1.0, "max_epochs": 3, "max_steps": -1}
    return SimpleNamespace(**usual | {"accumulate_grad_batches": 1, "current_epoch": 0} | settings)


def parts(folder: Path, weights: Any = (0.8, 0.2), passes: Any = (None, None)) -> list[Part]:
    random = np.random.default_rng(5)
    found = []
    for number, documents in enumerate((150, 60)):
        sizes = random.integers(2, 40, documents)
        train = file_from(folder / f"t{number}.bin", 1_000_000 * (number + 1), sizes)
        val = file_from(folder / f"v{number}.bin", 1_000_000 * (number + 3), random.integers(2, 40, 20))
        languages = random.integers(-1, 2, 20).astype(np.int8)
        found.append(Part(f"s{number}", train, val, weights[number], passes[number], languages))
    return found


def module(sources: list[Part], run: Any, **settings: Any) -> CorpusDataModule:
    train, val = (JoinedTokens([getattr(part, name) for part in sources]) for name in ("train", "val"))
    usual = {"seq_len": SEQ_LEN, "batch_size": 4, "seed": 1}
    data = CorpusDataModule(train, val, parts=sources, **usual | settings)
    data.trainer = run
    return data


def owner(target: int) -> int:
    return target // 1_000_000 - 1


@pytest.mark.parametrize("num_workers", [0, 2])
def test_training_takes_each_source_by_its_weight(tmp_path: Path, num_workers: int) -> None:
    data = module(parts(tmp_path), trainer(), num_workers=num_workers)
    loader = data.train_dataloader()
    seen: Counter[int] = Counter()
    for epoch in range(3):
        loader.sampler.set_epoch(epoch)
        seen.update(targets(loader))
    total = Counter(map(owner, seen.elements()))
    assert total[0] / total.total() == pytest.approx(0.8, abs=0.02)
    planned = data.mixed.packing(None).planned()
    assert [total[n] for n in range(2)] == pytest.approx([plan.predictions for plan in planned], abs=8 * SEQ_LEN)
    for number, part in enumerate(data.mixed._parts):
        often = {seen[target] for target in every_target(part.train)}
        assert max(often) - min(often) <= 1  # a pass ends before the next one begins
        assert set(seen) & set(every_target(part.train)) <= {t for t in seen if owner(t) == number}


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_the_rows_and_none_comes_twice(tmp_path: Path, world_size: int) -> None:
    sources = parts(tmp_path, (None, None), (1, 1))
    shares = []
    for rank in range(world_size):
        run = trainer(world_size=world_size, global_rank=rank, max_epochs=1)
        shares.append([targets([batch]) for batch in module(sources, run).train_dataloader()])
    assert len({len(share) for share in shares}) == 1
    seen = Counter(target for share in shares for batch in share for target in batch)
    assert set(seen.values()) == {1}
    missing = sum(len(every_target(part.train)) for part in sources) - len(seen)
    assert missing <= (world_size - 1) * SEQ_LEN
    one = list(module(sources, trainer(max_epochs=1)).train_dataloader())
    first = [target for share in shares for target in share[0]]
    assert set(first) == set(targets(one[:world_size]))  # the order does not depend on the number of processes


def test_a_checkpoint_goes_on_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    sources = parts(tmp_path, (0.5, 0.5), (4, 3))
    whole = module(sources, trainer())
    loader = whole.train_dataloader()
    expected = []
    for epoch in range(3):
        loader.sampler.set_epoch(epoch)
        expected.append([targets([batch]) for batch in loader])
    whole.trainer.current_epoch = 1
    batches = SimpleNamespace(current=SimpleNamespace(processed=5))
    whole.trainer.fit_loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=batches))
    state = whole.state_dict()
    resumed = module(sources, trainer())
    resumed.load_state_dict(state)
    again = resumed.train_dataloader()
    again.sampler.set_epoch(1)
    assert [targets([batch]) for batch in again] == expected[1][5:]
    again.sampler.set_epoch(2)
    assert [targets([batch]) for batch in again] == expected[2]


@pytest.mark.parametrize("world_size", [1, 2])
def test_validation_names_the_group_of_each_batch(tmp_path: Path, world_size: int) -> None:
    sources = parts(tmp_path)
    found: Counter[int] = Counter()
    for rank in range(world_size):
        data = module(sources, trainer(world_size=world_size, global_rank=rank))
        for batch in data.val_dataloader():
            name, language = data.mixed.groups[int(batch["group"])]
            part = next(part for part in sources if part.name == name)
            starts = np.asarray(part.val.offsets).astype(np.int64) + 1_000_000 * (int(name[1]) + 3)
            documents = np.searchsorted(starts, targets([batch]), "right") - 1
            assert {("hu", "en", None)[part.languages[document]] for document in documents} <= {language}
            found.update(targets([batch]))
    assert found == Counter(target for part in sources for target in every_target(part.val))


@pytest.mark.parametrize(
    ("settings", "rows", "epochs"),
    [
        ({}, None, 3),
        ({"max_epochs": -1}, None, float("inf")),
        ({"max_epochs": -1, "max_steps": 7}, None, None),
        ({"limit_train_batches": 5}, 20, 3),
        ({"limit_train_batches": 5, "max_steps": 8, "accumulate_grad_batches": 2}, 20, 2 + 16 / 20),
        ({"world_size": 2, "limit_train_batches": 2}, 16, 3),
    ],
)
def test_the_length_of_a_run_is_known_from_its_limits(tmp_path: Path, settings: Any, rows: Any, epochs: Any) -> None:
    packing = module(parts(tmp_path), trainer(**settings)).mixed.packing(trainer(**settings))
    assert packing.length.rows == (packing.n_rows if rows is None else rows)
    assert packing.length.epochs == pytest.approx(7 * 4 / packing.n_rows if epochs is None else epochs)


def test_a_run_that_is_longer_than_its_sources_may_be_read_is_refused(tmp_path: Path) -> None:
    run = trainer(max_epochs=5)
    with pytest.raises(UserError, match=r"the run is 5 epochs of .*\(s0 2 x .*; s1 3 x .*raise data\.max_epochs"):
        module(parts(tmp_path, passes=(2, 3)), run).mixed.packing(run)


def test_other_weights_make_another_validation_loss(tmp_path: Path) -> None:
    one, other = (module(parts(tmp_path, weights), trainer()) for weights in ((1, 1), (1, 2)))
    assert one._val_digest != other._val_digest
    assert one._train_digest == other._train_digest


def test_a_file_alone_has_the_rows_of_the_file_in_a_mixture_of_one(tmp_path: Path) -> None:
    train = token_file(tmp_path / "t.bin", np.random.default_rng(2).integers(2, 60, 100))
    alone = CorpusDataModule(train, train, seq_len=SEQ_LEN, batch_size=4, seed=1)
    part = Part("only", train, train, None, None, np.full(100, -1, np.int8))
    mixed = module([part], trainer())
    for data in (alone, mixed):
        data.train_dataloader().sampler.set_epoch(0)
    assert targets(alone.train_dataloader()) == targets(mixed.train_dataloader())
