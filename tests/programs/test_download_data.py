"""lai.programs.download_data as a user runs it, against a hub on this machine that has the three data sets in small."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopback_hub import LoopbackHub, known_repositories, serving

from lai.data.sources.catalog import KNOWN_SETS
from lai.data.sources.files import read_documents
from lai.tokenizer.chat import render


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with serving() as server:
        server.repositories = known_repositories()
        yield server


def run(hub: LoopbackHub, output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lai.programs.download_data", "--output", str(output), *arguments]
    environment = hub.environment(output.parent / "hub-home")
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_the_three_data_sets_become_one_file_with_its_sources(hub: LoopbackHub, tmp_path: Path) -> None:
    output = tmp_path / "data" / "train.txt"
    asked = ("--size", "tiny", "--hu_wiki", "20", "--en_stories", "30", "--translations", "40")
    done = run(hub, output, *asked)
    assert done.returncode == 0, done.stderr
    texts = [render(document).decode() for document in read_documents(output)]
    assert len(texts) == len(output.read_bytes().split(b"\n")) - 1 == 20 + 30 + 2 * 40
    # Line ends inside documents survive, appendices and stubs do not.
    assert texts[0].startswith("Cikk 0\n\nEz egy mondat a 0. szócikkből") and texts[0].endswith("\n\nMásodik bekezdés.")
    assert not any("Csonk" in text or "Jegyzetek" in text for text in texts)
    assert texts[20] == "Once upon a time there was a cat number 0.\n\nShe liked to play in the garden."
    assert texts[51] == "<user>Translate to English: A 0. kutya.</user><assistant>The dog number 0.</assistant>"
    record = json.loads((output.parent / "train.txt.sources.json").read_text())
    assert [entry["name"] for entry in record["sources"]] == [known.source.name for known in KNOWN_SETS.values()]
    assert all(len(entry["revision"]) == 40 and entry["licence"] for entry in record["sources"])
    visible = {path.name for path in output.parent.iterdir() if path.is_file() and path.suffix != ".lock"}
    assert visible == {output.name, "train.txt.sources.json"}
    for known in KNOWN_SETS.values():
        assert f"/datasets/{known.source.name}/resolve/{known.source.revision}/README.md" in hub.asked

    hub.asked.clear()
    again = run(hub, output, *asked)
    assert again.returncode == 0 and "nothing to fetch" in again.stdout and not hub.asked


def test_jsonl_holds_the_same_documents(hub: LoopbackHub, tmp_path: Path) -> None:
    asked = ("--hu_wiki", "5", "--en_stories", "5", "--translations", "5")
    for name in ("a.txt", "a.jsonl"):
        assert run(hub, tmp_path / name, *asked).returncode == 0
    assert list(read_documents(tmp_path / "a.txt")) == list(read_documents(tmp_path / "a.jsonl"))


def test_a_data_set_that_ends_early_says_so(hub: LoopbackHub, tmp_path: Path) -> None:
    done = run(hub, tmp_path / "x.txt", "--hu_wiki", "0", "--en_stories", "0", "--translations", "1000")
    assert done.returncode == 0
    assert "5 rows dropped by cleaning; the data set has no more than 45 such rows" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--hu_wiki", "0", "--en_stories", "0", "--translations", "0"), "are all 0"),
        (("--hu_wiki", "-1"), "-1 is not a whole number from 0 on"),
    ],
)
def test_a_mistake_is_one_line(hub: LoopbackHub, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    done = run(hub, tmp_path / "x.txt", *arguments)
    assert done.returncode == 2 and message in done.stderr.splitlines()[-1]
    assert not hub.asked


def test_an_output_of_another_kind_is_refused(hub: LoopbackHub, tmp_path: Path) -> None:
    assert "give it the ending .txt or .jsonl" in run(hub, tmp_path / "x.parquet").stderr


def test_a_missing_data_set_keeps_what_was_fetched(hub: LoopbackHub, tmp_path: Path) -> None:
    opus = hub.repositories.pop("Helsinki-NLP/opus-100")
    asked = ("--hu_wiki", "5", "--en_stories", "5", "--translations", "5")
    failed = run(hub, tmp_path / "x.txt", *asked)
    assert failed.returncode == 2 and not (tmp_path / "x.txt").exists()
    line = failed.stderr.splitlines()[-1]
    assert line.startswith("error: Helsinki-NLP/opus-100 (config en-hu, split train, revision 805090dc")
    assert "data=synthetic" in line
    hub.repositories["Helsinki-NLP/opus-100"] = opus
    hub.asked.clear()
    assert run(hub, tmp_path / "x.txt", *asked).returncode == 0
    assert not any("wikipedia" in path for path in hub.asked)
