"""Models to measure: the presets of conf/model with random weights, in every weight dtype."""

from pathlib import Path

import torch

from lai.config.compose import compose_run
from lai.data.synthetic import SyntheticConfig, draw
from lai.export.lai_file import write_model
from lai.model.transformer import ModelConfig, Transformer
from lai.tokenizer.train import learn_vocab
from lai.tokenizer.vocab import Vocab

VOCAB_SIZE = 8000


def preset(name: str, vocab_size: int) -> ModelConfig:
    """The shape of a preset of conf/model."""
    return ModelConfig.of(compose_run([f"model={name}"]).model, vocab_size)


def vocabulary(folder: Path) -> Vocab:
    """A vocabulary of generated text, cached in `folder`."""
    path = folder / "vocab.bin"
    if not path.exists():
        examples = draw(SyntheticConfig(), 60000, seed=0)
        learn_vocab((turn.content for example in examples for turn in example.document), VOCAB_SIZE).save(path)
    return Vocab.load(path)


def model_file(folder: Path, name: str, dtype: str) -> Path:
    """A model file of a preset with the weights at initialization, cached in `folder`."""
    path = folder / f"{name}-{dtype}.bin"
    if not path.exists():
        vocab = vocabulary(folder)
        config = preset(name, len(vocab))
        torch.manual_seed(0)
        write_model(path, config, Transformer(config).state_dict(), vocab, dtype)
    return path
