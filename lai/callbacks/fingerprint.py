"""Sums of weights' bits, to compare two states of a network without keeping both."""

from collections.abc import Iterable

import lightning
import torch
from torch import Tensor

from lai.model.module import LanguageModel

_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""The integer dtype of so many bytes."""


def fingerprint(pl_module: lightning.LightningModule) -> dict[str, int]:
    """The sum of each parameter of this process's part of the network; other weights have other sums."""
    assert isinstance(pl_module, LanguageModel)
    return sums(pl_module.model.named_parameters())


def sums(weights: Iterable[tuple[str, Tensor]]) -> dict[str, int]:
    """The bits of each weight added up as integers, which gives the same on every device."""
    found = {
        name: weight.detach().reshape(-1).view(_INTEGERS[weight.element_size()]).sum(dtype=torch.int64)
        for name, weight in weights
    }
    return dict(zip(found, torch.stack(list(found.values())).tolist(), strict=True))
