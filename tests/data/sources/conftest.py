from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder to put Parquet files into."""
    folder = tmp_path / "rows"
    folder.mkdir()
    return folder
