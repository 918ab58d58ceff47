"""The built engine, and random model files to run it on, as fixtures; a conftest.py imports them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from engine_program import LEARNED, Engine, build_engine, make_vocab, random_network

from lai.export.lai_file import ModelFile, read_model, write_model
from lai.model.record import TrainingRecord
from lai.model.transformer import ModelConfig
from lai.tokenizer.vocab import Vocab

__all__ = ["engine", "make_model", "vocab"]

MakeModel = Callable[..., tuple[Path, ModelFile]]


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine(build_engine())


@pytest.fixture(scope="session")
def vocab() -> Vocab:
    return make_vocab(LEARNED)


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory, vocab: Vocab) -> MakeModel:
    """Write a random model file; give its path and what Python reads from it."""
    folder = tmp_path_factory.mktemp("models")

    def make(
        dtype: str = "f32", seed: int = 0, turns: int = 0, unfolded: bool = False, **changes
    ) -> tuple[Path, ModelFile]:
        config = replace(
            ModelConfig(
                dim=64, hidden_dim=160, n_layers=2, n_heads=4, n_kv_heads=4, vocab_size=len(vocab), max_seq_len=256
            ),
            **changes,
        )
        changed = "-".join(f"{name}={value}" for name, value in changes.items())
        path = folder / f"{dtype}-{seed}-{turns}-{unfolded}-{changed}.bin"
        if not path.exists():
            weights = random_network(config, seed).state_dict()
            write_model(path, config, weights, vocab, dtype, TrainingRecord(unfolded=unfolded, turns=turns))
        return path, read_model(path)

    return make
