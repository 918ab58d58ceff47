from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from lai.data.tokens.packing import Ints, PackedRows, Packing, TrainingPacking, ValidationPacking

SEQ_LEN = 64


def lengths(name: str) -> Ints:
    random = np.random.default_rng(5)
    drawn = {
        "lines": random.integers(1, 13, 3000),
        "mixed": np.exp(random.normal(2.5, 1.2, 2000)),
        "halves": random.choice([31, 32, 33, 64, 65], 300),
        "long": random.integers(200, 3000, 20),
        "alike": np.full(100, 20),
        "one": np.array([1]),
        "one long": np.array([500]),
        "few": np.array([3, 64, 1]),
    }
    return np.maximum(drawn[name], 1).astype(np.int64)


NAMES = ["lines", "mixed", "halves", "long", "alike", "one", "one long", "few"]


# Numbers of predictions, of which many are alike, half a row, or longer than a row.
_LENGTH = st.integers(1, 9) | st.integers(1, 90) | st.sampled_from([8, 16, 17, 32, 33])
ANY_LENGTHS = st.lists(_LENGTH, min_size=1, max_size=60)


def check_rows(
    rows: PackedRows, packing: Packing, predictions: Ints, seq_len: int = SEQ_LEN
) -> dict[int, list[tuple[int, int]]]:
    """Check that each prediction of each document is in exactly one row, and return the documents' (first, size)."""
    assert len(rows) == packing.n_rows
    pieces = defaultdict(list)
    for index in range(len(rows)):
        row = rows[index]
        assert 0 < row[:, 2].sum() <= seq_len
        for document, first, size in row.tolist():
            assert size > 0
            pieces[document].append((first, size))
    assert len(pieces) == len(predictions)
    for document, found in pieces.items():
        found.sort()
        seen = [position for first, size in found for position in range(first, first + size)]
        assert seen == list(range(predictions[document]))
    return pieces


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("epoch", [0, 7])
def test_training_makes_each_prediction_once_and_cuts_only_long_documents(name: str, epoch: int) -> None:
    predictions = lengths(name)
    packing = TrainingPacking(predictions, SEQ_LEN, seed=1)
    pieces = check_rows(packing.epoch(epoch), packing, predictions)
    cut = [document for document, found in pieces.items() if len(found) > 1]
    assert all(predictions[document] > SEQ_LEN // 2 for document in cut)


@pytest.mark.parametrize("name", NAMES)
def test_validation_cuts_documents_from_their_own_start(name: str) -> None:
    predictions = lengths(name)
    packing = ValidationPacking(predictions, SEQ_LEN)
    for document, found in check_rows(packing.epoch(0), packing, predictions).items():
        assert [first for first, _ in found] == list(range(0, predictions[document], SEQ_LEN))


@pytest.mark.parametrize(("name", "most"), [("lines", 0.03), ("mixed", 0.02), ("long", 0.01), ("halves", 0.1)])
def test_padding_is_small(name: str, most: float) -> None:
    predictions = lengths(name)
    for packing in (TrainingPacking(predictions, SEQ_LEN, seed=0), ValidationPacking(predictions, SEQ_LEN)):
        if (name, type(packing)) != ("halves", ValidationPacking):  # 33 and 64 fill no row of 64 without a cut
            assert 1 - predictions.sum() / (packing.n_rows * SEQ_LEN) < most


def same(first: PackedRows, second: PackedRows) -> bool:
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in ("pieces", "starts", "order"))


def test_the_order_is_a_pure_function_of_seed_and_epoch() -> None:
    predictions = np.concatenate((lengths("lines"), lengths("long")))
    packing = TrainingPacking(predictions, SEQ_LEN, seed=3)
    later = packing.epoch(4)
    packing.epoch(2)
    assert same(packing.epoch(4), later)
    assert same(TrainingPacking(predictions.copy(), SEQ_LEN, seed=3).epoch(4), later)
    assert not same(packing.epoch(5), later)
    assert not same(TrainingPacking(predictions, SEQ_LEN, seed=4).epoch(4), later)
    # The next epoch is not the same rows in another order: documents meet others.
    neighbours = [
        {frozenset(rows[index][:, 0].tolist()) for index in range(len(rows))} for rows in (later, packing.epoch(5))
    ]
    assert len(neighbours[0] & neighbours[1]) < 0.1 * len(neighbours[0])


def test_short_and_long_documents_come_mixed() -> None:
    """Rows of one length only would make batches alike: a row's documents must be about as varied as a random draw."""
    predictions = lengths("lines")
    rows = TrainingPacking(predictions, SEQ_LEN, seed=0).epoch(0)
    spread = np.mean([predictions[rows[index][:, 0]].std() for index in range(len(rows))])
    assert spread > 0.8 * predictions.std()


def test_the_first_validation_rows_are_a_fair_sample() -> None:
    predictions = lengths("lines")
    rows = ValidationPacking(predictions, SEQ_LEN).epoch(0)
    first = np.concatenate([rows[index][:, 0] for index in range(len(rows) // 4)])
    assert abs(predictions[first].mean() / predictions.mean() - 1) < 0.2


def test_a_million_documents_are_planned() -> None:
    predictions = np.random.default_rng(0).integers(1, 100, 1_000_000)
    packing = TrainingPacking(predictions, 512, seed=0)
    rows = packing.epoch(0)
    assert np.array_equal(np.sort(rows.pieces[:, 0]), np.arange(len(predictions)))
    assert np.add.reduceat(rows.pieces[:, 2], rows.starts[:-1]).max() <= 512


def fills(rows: PackedRows) -> list[int]:
    return sorted(int(rows[index][:, 2].sum()) for index in range(len(rows)))


@examples
@given(lengths=ANY_LENGTHS, seq_len=st.integers(2, 40), seed=st.integers(0, 99), epoch=st.integers(0, 9))
def test_any_documents_give_each_prediction_once_in_full_rows(
    lengths: list[int], seq_len: int, seed: int, epoch: int
) -> None:
    predictions = np.array(lengths)
    training, validation = TrainingPacking(predictions, seq_len, seed), ValidationPacking(predictions, seq_len)
    check_rows(training.epoch(epoch), training, predictions, seq_len)
    check_rows(validation.epoch(epoch), validation, predictions, seq_len)
    # The last row of the long documents, and the last ones of two passes over the short ones, may be nearly empty.
    assert sum(2 * fill <= seq_len for fill in fills(training.epoch(epoch))) <= 3
    tightest = fills(validation.epoch(epoch))
    assert len(tightest) == 1 or tightest[0] + tightest[1] > seq_len  # else these two were one


@examples
@given(data=st.data(), lengths=ANY_LENGTHS, seq_len=st.integers(2, 40), seed=st.integers(0, 99))
def test_rows_are_as_full_for_any_order_of_the_documents(
    data: st.DataObject, lengths: list[int], seq_len: int, seed: int
) -> None:
    other = data.draw(st.permutations(lengths))
    one, two = (TrainingPacking(np.array(order), seq_len, seed) for order in (lengths, other))
    assert fills(one.epoch(0)) == fills(one.epoch(1)) == fills(two.epoch(0))
    one, two = (ValidationPacking(np.array(order), seq_len) for order in (lengths, other))
    assert fills(one.epoch(0)) == fills(two.epoch(0))
