"""A model of another program, with a tokenizer that LAi does not read."""

import pytest


@pytest.fixture(scope="session")
def transformers():
    pytest.importorskip("tokenizers", reason="transformers needs it, and it is not installed")
    return pytest.importorskip("transformers", reason="it writes the folders, and is not installed")


@pytest.fixture(scope="session")
def save_llama(transformers):
    """Writes a folder with a small `LlamaForCausalLM` and gives the network."""
    import torch

    def save(path, shard_size="5GB", **settings):
        torch.manual_seed(0)
        shape = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
        shape |= {"num_key_value_heads": 2, "vocab_size": 300, "max_position_embeddings": 64}
        network = transformers.LlamaForCausalLM(transformers.LlamaConfig(**shape | settings)).eval()
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, mean=0.7 if parameter.ndim == 1 else 0.0, std=0.1)
        network.save_pretrained(path, max_shard_size=shard_size)
        return network

    return save
