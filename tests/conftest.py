"""What many tests share: text, a vocabulary, and whole runs built from command-line overrides."""

import random
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from lai.config import CONF_DIR
from lai.data.vocab import Vocab

SHARED = Path(__file__).parents[1].parent / "shared"

NOUNS = {"dog": "kutya", "cat": "macska", "tree": "fa", "house": "ház", "child": "gyerek", "bird": "madár"}
ADJECTIVES = {"big": "nagy", "small": "kis", "red": "piros", "old": "öreg", "good": "jó"}

# A model that trains in a second or two.
TINY = [
    "model.dim=32",
    "model.hidden_dim=64",
    "model.n_layers=2",
    "model.n_heads=2",
    "model.max_seq_len=64",
    "trainer.accelerator=cpu",
    "data.vocab_size=400",
    "data.batch_size=4",
]


def example_lines(count: int, seed: int = 0) -> list[str]:
    """Lines in the guide's format: plain sentences and small translations."""
    random_ = random.Random(seed)
    lines = []
    for number in range(count):
        noun, adjective = random_.choice(sorted(NOUNS)), random_.choice(sorted(ADJECTIVES))
        if number % 2:
            lines.append(f"The {adjective} {noun} has {number} apples. A {ADJECTIVES[adjective]} {NOUNS[noun]}.")
        else:
            question = f"Translate to Hungarian: {number} {adjective} {noun}"
            lines.append(
                f"<user>{question}</user><assistant>{number} {ADJECTIVES[adjective]} {NOUNS[noun]}</assistant>"
            )
    return lines


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real text, where the machine has it."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("there is no folder of real text (shared/data) beside the checkout")
    return folder


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n".join(example_lines(300)) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def small_vocab() -> Vocab:
    return Vocab.train((line.encode() for line in example_lines(300)), vocab_size=400, min_freq=1)


def composed(*overrides: str) -> DictConfig:
    """The config that `lai-train` composes from these overrides."""
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return compose("train", overrides=list(overrides))


@pytest.fixture
def compose_run(tmp_path: Path):
    """A run built as `lai-train` builds it: from the YAML files and overrides, its files under `tmp_path`."""
    from lai.config import load_run_config

    def build(*overrides: str):
        return load_run_config(
            composed(
                f"output_dir={tmp_path / 'run'}",
                f"data.cache_dir={tmp_path / 'cache'}",
                f"export.path={tmp_path / 'model.bin'}",
                *TINY,
                *overrides,
            )
        )

    return build
