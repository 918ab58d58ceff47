"""Attention in rows of documents against PyTorch's own attention with a mask over whole windows."""

import pytest
import torch
import torch.nn.functional as F

from lai.model.document_attention import DocumentRows


def windows(*lengths: list[int]) -> torch.Tensor:
    """The documents (B, T) of windows with documents of these lengths; what is left at the end is padding."""
    longest = max(sum(row) for row in lengths)
    rows = [torch.arange(len(row)).repeat_interleave(torch.tensor(row)).tolist() for row in lengths]
    return torch.tensor([row + [-1] * (longest - len(row)) for row in rows])


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
@pytest.mark.parametrize(
    "documents",
    [
        windows([1, 31, 32, 33, 64, 65, 14], [129, 1, 2, 3, 100, 5], [7] * 34),  # of each width, and padding
        windows([240], [240]),  # one document a window, with the same number in both
        windows([1] * 9),
        windows([1]),
    ],
)
def test_attention_by_document_equals_attention_with_a_mask(documents, kv_heads):
    torch.manual_seed(0)
    batch, length = documents.shape
    queries, keys, values, gradient = (
        torch.randn(batch, length, heads, 8, dtype=torch.float64, requires_grad=True)
        for heads in (4, kv_heads, kv_heads, 4)
    )
    seen = (documents[:, None, :, None] == documents[:, None, None, :]) & torch.ones(length, length).tril().bool()
    expected = F.scaled_dot_product_attention(
        *(x.transpose(1, 2) for x in (queries, keys, values)), attn_mask=seen, enable_gqa=True
    ).transpose(1, 2)
    found = DocumentRows(documents, 4, kv_heads).attend(queries, keys, values)
    torch.testing.assert_close(found, expected.flatten(2))
    inputs = (queries, keys, values)
    torch.testing.assert_close(
        torch.autograd.grad(found, inputs, gradient.flatten(2)), torch.autograd.grad(expected, inputs, gradient)
    )


def test_bfloat16_attention_is_nearly_as_exact_as_with_a_mask():
    torch.manual_seed(0)
    documents = windows([20, 40, 30, 6], [50, 46])
    inputs = [torch.randn(2, 96, 4, 16, requires_grad=True) for _ in range(3)]
    seen = (documents[:, None, :, None] == documents[:, None, None, :]) & torch.ones(96, 96).tril().bool()
    rows = DocumentRows(documents, 4, 4)

    def masked(*inputs):
        turned = (x.transpose(1, 2) for x in inputs)
        return F.scaled_dot_product_attention(*turned, attn_mask=seen).transpose(1, 2).flatten(2)

    def results(attend, dtype):
        found = attend(*(x.to(dtype) for x in inputs))
        assert found.dtype == dtype
        return [found.float(), *torch.autograd.grad(found.float().sin().sum(), inputs)]

    exact = results(masked, torch.float32)
    error, known = (
        [(a - b).norm() / b.norm() for a, b in zip(results(attend, torch.bfloat16), exact, strict=True)]
        for attend in (rows.attend, masked)
    )
    assert all(a <= 2 * b for a, b in zip(error, known, strict=True)), (error, known)
