"""What many tests share: text, a vocabulary, and whole runs built from command-line overrides."""

from pathlib import Path

import pytest
from runs import TINY, composed, example_lines

from lai.data.vocab import Vocab

SHARED = Path(__file__).parents[1].parent / "shared"


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
