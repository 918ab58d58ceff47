"""Errors of training become one line."""

import pytest
import torch

from lai.host.errors import UserError
from lai.run.fit import within_memory


def test_running_out_of_memory_is_one_line() -> None:
    with pytest.raises(UserError, match=r"memory has run out; halve data\.batch_size"), within_memory():
        torch.empty(1 << 60)
