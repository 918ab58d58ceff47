"""The norm against its formula, and its gradients against PyTorch's own."""

import pytest
import torch
import torch.nn.functional as F

from lai.model.rms_norm import RMSNorm


def test_norms_are_computed_in_float32_and_rounded_once_for_the_products_behind_them():
    x = torch.randn(3, 5, 64) * torch.logspace(-3, 3, 5)[:, None]
    norm = RMSNorm(64, 1e-5)
    torch.nn.init.normal_(norm.weight)
    exact = (x.double() / (x.double().pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * norm.weight.double()).float()
    torch.testing.assert_close(norm(x), exact)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = norm(x)
    assert rounded.dtype == torch.bfloat16
    assert (rounded.float() - exact).abs().le(exact.abs() * 2**-8).all()  # half a unit in the last of eight bits


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_gradients_equal_pytorchs(scale):
    torch.manual_seed(0)
    x, gradient = scale * torch.randn(3, 5, 64), torch.randn(3, 5, 64)
    norm = RMSNorm(64, 1e-5)
    torch.nn.init.normal_(norm.weight)
    x.requires_grad_()
    found = torch.autograd.grad(norm(x), (x, norm.weight), gradient)
    exact = F.rms_norm(x.double(), (64,), norm.weight.double(), 1e-5)
    expected = torch.autograd.grad(exact, (x, norm.weight), gradient.double())
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5 * theirs.abs().max().item())


def test_gradients_of_rounded_results_are_exact_for_what_was_rounded():
    torch.manual_seed(0)
    x, gradient = torch.randn(3, 5, 64, requires_grad=True), torch.randn(3, 5, 64).bfloat16()
    norm = RMSNorm(64, 1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = norm(x)
    found = torch.autograd.grad(rounded, (x, norm.weight), gradient)
    torch.testing.assert_close(found, torch.autograd.grad(norm(x), (x, norm.weight), gradient.float()))
