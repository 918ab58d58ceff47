"""State that checkpoints leave out because it is not plain data."""

import collections

import numpy as np
import pytest
import torch

from lai.model.plain_state import drop_non_plain_state


class Odd:
    pass


def test_plain_state_stays() -> None:
    state = {"count": 1, "rates": [0.5, (1, None)], "name": "x", "tensor": torch.ones(2), "nested": {"a": {2: b"c"}}}
    checkpoint = {"callbacks": {"Plain": state}, "state_dict": {"w": torch.ones(1)}, "epoch": 3}
    drop_non_plain_state(checkpoint, set())
    assert checkpoint["callbacks"] == {"Plain": state} and checkpoint["epoch"] == 3


def test_odd_state_is_left_out_and_named_once(caplog: pytest.LogCaptureFixture) -> None:
    warned: set[str] = set()
    for _ in range(2):
        checkpoint = {"callbacks": {"Bad": {"good": 1, "odd": Odd()}, "Array": np.ones(3)}, "mine": Odd()}
        drop_non_plain_state(checkpoint, warned)
        assert "Bad" not in checkpoint["callbacks"] and "mine" not in checkpoint
    assert caplog.text.count("the state of Bad") == 1 and "(odd)" in caplog.text
    assert warned >= {"Bad", "mine"}


def test_what_torch_load_reads_safely_is_plain() -> None:
    checkpoint = {"callbacks": {"Ordered": collections.OrderedDict(a=1)}}
    drop_non_plain_state(checkpoint, set())
    assert checkpoint["callbacks"] == {"Ordered": {"a": 1}}
