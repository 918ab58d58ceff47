import pytest

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
