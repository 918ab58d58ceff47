import pytest
from toy_network import toy_model

from lai.model.transformer import ModelConfig


@pytest.fixture
def config(small_vocab):
    return ModelConfig(
        dim=64,
        hidden_dim=96,
        n_layers=2,
        n_heads=4,
        n_kv_heads=2,
        vocab_size=len(small_vocab),
        max_seq_len=32,
        rope_theta=5000.0,
        norm_eps=1e-6,
    )


@pytest.fixture(scope="session")
def model(small_vocab):
    """A toy model as a checkpoint holds it; its weights are drawn."""
    return toy_model(small_vocab)


@pytest.fixture(scope="session")
def manifest():
    """A manifest as `lai.run.manifest` writes it, as far as exports show it."""
    return {
        "command": "python -m lai.train model=nano seed=7",
        "commit": {"hash": "0123abcd", "dirty": True},
        "seed": 7,
        "data": [
            {
                "name": "stories | hu",
                "sha256": "ab" * 32,
                "bytes": 123456,
                "licence": "CC-BY-4.0",
            },
            {"name": "mine", "sha256": "ef" * 32, "bytes": 7, "licence": None},
        ],
        "machine": {"os": "Linux-6", "cpu": "a CPU", "cores": 2, "device": "cpu", "processes": 1, "threads": 2},
        "versions": {"lai": "1.0", "torch": "2.13.0"},
        "vocabulary": {"name": "v.vocab", "sha256": "cd" * 32, "size": 400},
        "duration_s": 3725.4,
        "tokens_seen": 987654,
        "metrics": {"val/loss": 1.23456, "val/bpb": 0.5},
    }
