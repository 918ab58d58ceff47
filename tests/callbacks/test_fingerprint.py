"""Sums of weights' bits."""

import numpy as np
import pytest
import torch

from lai.callbacks.fingerprint import sums


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_a_sum_is_that_of_the_bits_as_integers(dtype):
    weight = torch.linspace(-2, 2, 12).reshape(3, 4).to(dtype)
    integers = {8: np.int64, 4: np.int32, 2: np.int16}[weight.element_size()]
    expected = sum(int(bits) for bits in np.frombuffer(bytes(weight.flatten().view(torch.uint8).tolist()), integers))
    expected = (expected + 2**63) % 2**64 - 2**63
    assert sums([("w", weight)]) == {"w": expected}


def test_one_changed_bit_changes_the_sum_and_the_order_of_memory_does_not():
    weight = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    changed = weight.clone()
    changed[2, 3] = torch.nextafter(changed[2, 3], torch.tensor(9.0))
    assert sums([("w", weight)]) != sums([("w", changed)])
    assert sums([("w", weight)]) == sums([("w", weight.t().contiguous().t())])
