"""A network whose weights all matter to its logits."""

import torch

from lai.model.transformer import Transformer


def network(config):
    torch.manual_seed(3)
    model = Transformer(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, mean=0.7 if parameter.ndim == 1 else 0.0, std=0.2)
    return model.eval()
