"""A tensor of a checkpoint is plain: of its shape and dtype, each value once in memory."""

import pytest
import torch

from lai.model.stored_tensor import BYTES, FLOATS, SCALAR, tensor

ONE = torch.ones(2, 3)


@pytest.mark.parametrize("value", [ONE, ONE.bfloat16(), torch.nn.Parameter(ONE)])
def test_a_plain_tensor_is_accepted(value):
    assert tensor((2, 3), FLOATS).accepts(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [[1.0] * 3] * 2,
        torch.ones(3, 2),
        ONE.double(),
        ONE.int(),
        torch.ones(3, 2).T,
        torch.ones(1, 1).expand(2, 3),
        torch.ones(2, 3, device="meta"),
        ONE.to_sparse(),
    ],
    ids=str,
)
def test_any_other_is_not(value):
    assert not tensor((2, 3), FLOATS).accepts(value)


def test_scalars_and_bytes():
    assert SCALAR.accepts(torch.tensor(1.0)) and not SCALAR.accepts(torch.ones(1)) and not SCALAR.accepts(1.0)
    assert BYTES.accepts(torch.zeros(4, dtype=torch.uint8)) and not BYTES.accepts(torch.zeros(4))
    assert tensor((2,), (torch.float32,)).words == "float32 of shape (2,)"
