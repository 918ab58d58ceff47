"""The ignored target, against PyTorch's loss."""

import torch
import torch.nn.functional as F

from lai.tokenizer.targets import IGNORE_INDEX


def test_pytorchs_loss_ignores_the_target_by_default() -> None:
    logits = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([2, IGNORE_INDEX, 4])
    assert F.cross_entropy(logits, targets, reduction="sum") == F.cross_entropy(
        logits[[0, 2]], targets[[0, 2]], reduction="sum"
    )
