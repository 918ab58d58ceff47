"""Training on the known data sets, from a hub on this machine that has them in small."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopback_hub import LoopbackHub, known_repositories, serving
from runs import TINY

ROOT = Path(__file__).parents[2]


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with serving() as server:
        server.repositories = known_repositories()
        yield server


@pytest.mark.slow
def test_training_fetches_the_data_sets_once_and_reports_on_them(hub: LoopbackHub, tmp_path: Path) -> None:
    rows = "{hu_wiki: 20, en_stories: 30, translations: 40}"
    overrides = [
        *TINY,
        "data=hub",
        f"data.hub.rows={rows}",
        f"data.cache_dir={tmp_path / 'cache'}",
        "trainer.max_steps=2",
    ]
    command = [sys.executable, "-m", "lai.train", *overrides]

    def train(run: str) -> subprocess.CompletedProcess[str]:
        environment = hub.environment(tmp_path / "hub-home")
        done = subprocess.run(
            [*command, f"hydra.run.dir={tmp_path / run}", f"export.path={tmp_path / 'model.bin'}"],
            env=environment, capture_output=True, text=True, cwd=ROOT, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done

    done = train("first")
    assert "130 documents" in done.stdout and (tmp_path / "model.bin").exists()
    assert "tasks: translation 61.5%, plain 38.5%; languages: " in done.stdout
    assert "check documents: 130, expected at least 20,000" in done.stdout
    hub.asked.clear()
    train("second")
    assert not hub.asked
