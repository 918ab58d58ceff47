"""Runs and networks with low-rank factors, without the weights of a model to begin with."""

from dataclasses import replace

import torch

from lai.config.schema import LoraSettings


def with_lora(run, **settings):
    """The run with LoRA of rank 4; its rules were checked before, so it may begin with random weights."""
    run.model = replace(run.model, lora=LoraSettings(**{"rank": 4} | settings))
    return run


def fill_factors(network):
    """Draw the factors of a network so that each matters to its logits; gives the network."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if ".lora_" in name:
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return network
