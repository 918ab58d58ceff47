"""The LightningModule, without a trainer."""

import torch

from lai.config.compose import compose_run
from lai.model.module import LanguageModel
from lai.model.transformer import ModelConfig


def test_the_module_predicts_and_scores_like_its_network(small_vocab) -> None:
    torch.manual_seed(0)
    config = ModelConfig(
        dim=32, hidden_dim=48, n_layers=1, n_heads=2, n_kv_heads=1, vocab_size=len(small_vocab), max_seq_len=16
    )
    run = compose_run([])
    lengths = torch.from_numpy(small_vocab.byte_lengths.copy())
    module = LanguageModel(config, small_vocab.to_bytes(), lengths, run.optimizer, run.schedule).eval()
    tokens = torch.randint(len(small_vocab), (2, 16))
    documents = torch.zeros_like(tokens)
    targets = tokens.roll(-1, 1)
    with torch.no_grad():
        assert torch.equal(module(tokens, documents), module.model(tokens, documents))
        loss = module(tokens, documents, targets)
    assert torch.equal(loss, module.model(tokens, documents, targets=targets))
    assert module.vocab == small_vocab.to_bytes() and module.tokens_seen.total() == 0
