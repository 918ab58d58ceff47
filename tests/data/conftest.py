from pathlib import Path

import numpy as np
import pytest
from toy_tokens import token_file

from lai.data.tokens.token_file import TokenFile


@pytest.fixture
def train(tmp_path: Path) -> TokenFile:
    return token_file(tmp_path / "train.bin", np.random.default_rng(0).integers(2, 40, 100))


@pytest.fixture
def val(tmp_path: Path) -> TokenFile:
    return token_file(tmp_path / "val.bin", [2, 100, 17, 18, *range(2, 30)])
