"""Shares, limits and order of the rows of several sources."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from lai.data.tokens.mixing import Length, MixedPacking, MixedSource
from lai.data.tokens.packing import TrainingPacking

SEQ_LEN = 16


def mixed(sizes, weights, passes=None, seed=3, **settings) -> MixedPacking:
    """Sources with so many documents of some lengths each."""
    sources, first = [], 0
    for number, (size, weight) in enumerate(zip(sizes, weights, strict=True)):
        lengths = np.random.default_rng(number).integers(1, 40, size)
        most = passes[number] if passes else None
        packing = TrainingPacking(lengths, SEQ_LEN, seed)
        sources.append(MixedSource(f"s{number}", packing, first, int(lengths.sum()), weight, most))
        first += size
    return MixedPacking(sources, seed, **settings)


def predictions(packing: MixedPacking, rows) -> Counter:
    """The predictions of each document in these rows: the independent truth is the documents' lengths."""
    found: Counter = Counter()
    for row in rows:
        for document, _, count in row.tolist():
            found[document] += count
    return found


def of_sources(packing: MixedPacking, found: Counter) -> list[int]:
    firsts = [source.first for source in packing.sources]
    owners = np.searchsorted(firsts, list(found), side="right") - 1
    return np.bincount(owners, list(found.values()), len(firsts)).astype(int).tolist()


@pytest.mark.parametrize("weights", [(0.7, 0.3), (1, 9), (1, 1)])
def test_after_any_number_of_rows_each_source_has_its_share_of_the_predictions(weights):
    packing = mixed((300, 200), weights)
    share = weights[0] / sum(weights)
    taken = np.zeros(2)
    for epoch in range(3):
        for row in packing.epoch(epoch):
            taken += of_sources(packing, predictions(packing, [row]))
            total = taken.sum()
            # Two rows more or less by the order, and one an epoch by rounding; rows are filled unequally.
            assert abs(taken[0] - share * total) <= (3 + epoch) * SEQ_LEN + 0.02 * total


def test_sources_without_weights_come_once_an_epoch():
    packing = mixed((120, 30, 77), [int(n) for n in (120, 30, 77)])
    packing = MixedPacking(
        [MixedSource(s.name, s.packing, s.first, s.predictions, s.predictions) for s in packing.sources], 3
    )
    lengths = np.concatenate([np.random.default_rng(n).integers(1, 40, size) for n, size in enumerate((120, 30, 77))])
    orders = []
    for epoch in range(3):
        rows = list(packing.epoch(epoch))
        assert predictions(packing, rows) == Counter(dict(enumerate(lengths.tolist())))
        orders.append([row.tolist() for row in rows])
    assert orders[0] != orders[1] != orders[2]


@examples
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    limits=st.lists(st.integers(1, 3), min_size=4, max_size=4),
    weights=st.lists(st.floats(0.01, 1), min_size=4, max_size=4),
    epochs=st.integers(1, 3),
    processes=st.integers(1, 3),
    seed=st.integers(0, 5),
)
def test_no_document_comes_more_often_than_its_source_may(sizes, limits, weights, epochs, processes, seed):
    packing = mixed(sizes, weights[: len(sizes)], limits[: len(sizes)], seed, processes=processes)
    if packing.n_rows == 0:
        return
    packing.measure(Length(packing.n_rows, epochs))
    if not packing.lasts:
        assert epochs * packing.n_rows > sum(
            most * s.packing.n_rows for most, s in zip(limits, packing.sources, strict=False)
        )
        return
    found: Counter = Counter()
    for epoch in range(epochs):
        rows = packing.epoch(epoch)
        assert len(rows) == packing.n_rows
        found += predictions(packing, rows)
    for number, (size, source) in enumerate(zip(sizes, packing.sources, strict=True)):
        lengths = np.random.default_rng(number).integers(1, 40, size)
        for document, length in enumerate(lengths.tolist()):
            assert found[source.first + document] <= limits[number] * length


def test_what_a_limited_source_lacks_goes_to_the_others_over_the_whole_run():
    packing = mixed((20, 400, 400), (0.6, 0.3, 0.1), (2, 9, 9))
    packing.measure(Length(packing.n_rows, 4))
    small, large, third = packing.planned()
    assert small.passes == pytest.approx(2)
    assert large.share / third.share == pytest.approx(3)
    assert small.share + large.share + third.share == pytest.approx(1)
    counts = [of_sources(packing, predictions(packing, packing.epoch(epoch))) for epoch in range(4)]
    total = np.sum(counts, 0)
    assert total[0] == 2 * packing.sources[0].predictions
    assert total[1] / total.sum() == pytest.approx(large.share, abs=0.01)
    for found in counts:  # evenly, not all at the beginning
        assert found[0] == pytest.approx(total[0] / 4, abs=2 * SEQ_LEN)


def test_without_a_known_end_a_source_keeps_its_weight_until_it_is_used_up():
    packing = mixed((20, 300), (0.5, 0.5), (3, 4))
    assert packing.length.epochs == math.inf
    counts = [of_sources(packing, predictions(packing, packing.epoch(epoch))) for epoch in range(int(packing.epochs))]
    assert counts[0][0] == 3 * packing.sources[0].predictions
    assert [found[0] for found in counts[1:]] == [0] * (len(counts) - 1)
    assert (
        packing.epochs
        == (3 * packing.sources[0].packing.n_rows + 4 * packing.sources[1].packing.n_rows) // packing.n_rows
    )


def test_the_rows_of_an_epoch_depend_on_nothing_that_was_read_before():
    settings = (90, 60, 10), (0.5, 0.3, 0.2), (4, 3, 2)
    whole, jumping, resumed = (mixed(*settings) for _ in range(3))
    for packing in (whole, jumping, resumed):
        packing.measure(Length(packing.n_rows, 2.5))
    expected = [[row.tolist() for row in whole.epoch(epoch)] for epoch in range(3)]
    assert [row.tolist() for row in jumping.epoch(2)] == expected[2]
    taken = whole.taken(1)
    names = [source.name for source in whole.sources]
    resumed.start_from(
        1, dict(zip(names, taken.before, strict=True)), [dict(zip(names, part, strict=True)) for part in taken.parts]
    )
    for epoch in (1, 2):
        assert [row.tolist() for row in resumed.epoch(epoch)] == expected[epoch]


def test_an_epoch_that_a_shorter_run_has_begun_is_filled_up_by_a_longer_one():
    short = mixed((40, 40), (0.5, 0.5), (1, 1))
    short.measure(Length(short.n_rows, 0.5))
    longer = mixed((40, 40), (0.5, 0.5), (3, 3))
    taken = short.taken(0)
    longer.measure(Length(longer.n_rows, 2))
    names = [source.name for source in short.sources]
    longer.start_from(0, dict.fromkeys(names, 0), [dict(zip(names, part, strict=True)) for part in taken.parts])
    begun = sum(map(sum, taken.parts))
    assert [r.tolist() for r in longer.epoch(0)][:begun] == [r.tolist() for r in short.epoch(0)][:begun]
    assert sum(map(sum, longer.taken(0).parts)) == longer.n_rows


def test_a_changed_weight_counts_from_the_next_epoch_on():
    before = mixed((90, 90), (0.9, 0.1))
    after = mixed((90, 90), (0.1, 0.9))
    taken = before.taken(2)
    names = [source.name for source in before.sources]
    after.start_from(
        2, dict(zip(names, taken.before, strict=True)), [dict(zip(names, part, strict=True)) for part in taken.parts]
    )
    assert [row.tolist() for row in after.epoch(2)] == [row.tolist() for row in before.epoch(2)]
    first, second = of_sources(after, predictions(after, after.epoch(3)))
    assert first / (first + second) == pytest.approx(0.1, abs=0.03)


def test_short_epochs_go_on_through_the_sources():
    packing = mixed((60, 60), (0.5, 0.5), (1, 1))
    packing.measure(Length(8, math.floor(packing.n_rows / 8)))
    found: Counter = Counter()
    for epoch in range(int(packing.length.epochs)):
        rows = packing.epoch(epoch)
        assert len(rows) == packing.n_rows
        found += predictions(packing, [rows[index] for index in range(8)])
    lengths = np.concatenate([np.random.default_rng(n).integers(1, 40, 60) for n in range(2)])
    assert all(found[document] <= length for document, length in enumerate(lengths.tolist()))
    assert sum(found.values()) >= 0.9 * lengths.sum()


@pytest.mark.parametrize("epochs", [1, 10])
def test_weights_decide_also_in_a_run_of_many_epochs(epochs):
    packing = mixed((200, 100), (0.4, 0.6))
    packing.measure(Length(packing.n_rows, epochs))
    assert [planned.share for planned in packing.planned()] == pytest.approx([0.4, 0.6])
    tiny = mixed((1000, 10), (0.5, 0.5))
    tiny.measure(Length(tiny.n_rows, epochs))
    assert tiny.planned()[1].passes == pytest.approx(4 * epochs)  # a small source does not come without end
    assert tiny.lasts
