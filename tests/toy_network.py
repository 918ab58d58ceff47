"""A network whose weights all matter to its logits."""

import torch

from lai.export.checkpoint import Checkpoint
from lai.model.record import TrainingRecord
from lai.model.transformer import ModelConfig, Transformer


def network(config):
    torch.manual_seed(3)
    model = Transformer(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, mean=0.7 if parameter.ndim == 1 else 0.0, std=0.2)
    return model.eval()


def toy_model(vocab, **shape):
    """A model with such a network, as a checkpoint holds it."""
    sizes = {"dim": 64, "hidden_dim": 96, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "max_seq_len": 96}
    config = ModelConfig(**sizes | {"vocab_size": len(vocab), "rope_theta": 5000.0, "norm_eps": 1e-6} | shape)
    return Checkpoint(config, vocab, network(config).state_dict(), TrainingRecord(steps=10, tokens=4096, turns=2))


def build(model):
    """The network of a model that a checkpoint holds."""
    made = Transformer(model.config)
    made.load_state_dict(model.weights)
    return made.eval()
