"""Tokens per second: what is counted, over which time, and that a device is not waited for in between."""

from types import SimpleNamespace

import pytest
import torch

from lai.callbacks.throughput import Throughput
from lai.data.tokens.batches import PADDING_DOCUMENT


@pytest.fixture
def logged():
    return []


@pytest.fixture
def done(logged, monkeypatch):
    """Tell a new `Throughput` of batches that begin and end at given seconds, three to a line."""
    throughput = Throughput()
    module = SimpleNamespace(log=lambda name, value, **_: logged.append((name, value)))
    trainer = SimpleNamespace(log_every_n_steps=3, global_step=0, world_size=2)

    def batch(documents, begin, end, *, steps=True):
        monkeypatch.setattr("time.perf_counter", lambda: begin)
        throughput.on_train_batch_start(trainer, module)
        monkeypatch.setattr("time.perf_counter", lambda: end)
        trainer.global_step += steps  # Lightning counts the step before it tells of the batch's end
        throughput.on_train_batch_end(trainer, module, None, {"documents": documents})

    batch.throughput = throughput
    return batch


def test_rate_is_tokens_by_time_without_padding_and_validation(done, logged):
    documents = torch.tensor([[0, 1, PADDING_DOCUMENT], [0, PADDING_DOCUMENT, PADDING_DOCUMENT]])  # three of six
    done(documents, 10.0, 11.0)
    done(documents, 11.5, 12.0)  # half a second to load it
    done.throughput.on_validation_start()
    done(documents, 20.0, 21.0)
    assert logged == [("train/tokens_per_second", pytest.approx(2 * 9 / 3.0))]
    for begin in (21.0, 22.0, 23.0):
        done(documents[:1], begin, begin + 1)
    assert logged[1:] == [("train/tokens_per_second", pytest.approx(2 * 6 / 3.0))]


def test_a_step_that_is_not_logged_does_not_wait_for_its_device(done, logged):
    documents = torch.zeros(2, 3, dtype=torch.int64, device="meta")  # whose values nobody can read
    done(documents, 0.0, 1.0)
    done(documents, 1.0, 2.0)
    assert not logged
    with pytest.raises(RuntimeError, match="meta"):
        done(documents, 2.0, 3.0)


def test_logged_rate_covers_whole_steps(done, logged):
    documents = torch.tensor([[5, 7]])
    for number in range(1, 9):  # two batches a step, three steps a line
        done(documents, number, number + 1, steps=number % 2 == 0)
    assert logged == [("train/tokens_per_second", pytest.approx(2 * 6 * 2 / 6.0))]
