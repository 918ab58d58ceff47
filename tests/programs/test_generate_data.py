"""lai.programs.generate_data as a user runs it."""

import subprocess
import sys
from pathlib import Path

from lai.data.sources.files import read_documents


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lai.programs.generate_data", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_same_seed_writes_the_same_documents_one_a_line(tmp_path: Path) -> None:
    output = tmp_path / "new folder" / "train.txt"
    numbers = ("--sentences", "30", "--stories", "20", "--translations", "10", "--instructions", "15")
    done = run("--output", output, *numbers, "--lexicon", "small", "--report")
    assert done.returncode == 0, done.stderr
    lines = output.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 30 + 20 + 2 * 10 + 2 * 15
    assert sum(line.startswith("<user>") for line in lines) == 50
    for word in ("translation", "nats a document", "bits a byte", "unique"):
        assert word in done.stdout
    assert run("--output", tmp_path / "again.txt", *numbers, "--lexicon", "small").returncode == 0
    assert (tmp_path / "again.txt").read_bytes() == output.read_bytes()


def test_a_wrong_number_is_one_line(tmp_path: Path) -> None:
    done = run("--output", tmp_path / "train.txt", "--stories", "-5")
    assert done.returncode == 2
    assert done.stderr.strip() == "error: stories is -5; it must be at least 0"
    assert not (tmp_path / "train.txt").exists()


def test_jsonl_holds_the_same_documents(tmp_path: Path) -> None:
    for name in ("train.txt", "train.jsonl"):
        assert run("--output", tmp_path / name, "--sentences", "9", "--stories", "9").returncode == 0
    text, rows = (list(read_documents(tmp_path / name)) for name in ("train.txt", "train.jsonl"))
    assert text == rows
    done = run("--output", tmp_path / "train.parquet")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "ending .txt or .jsonl" in done.stderr


def test_a_folder_is_not_an_output(tmp_path: Path) -> None:
    done = run("--output", tmp_path, "--sentences", "10")
    assert done.returncode == 2
    assert "is a folder" in done.stderr
