"""Several data sets become one file with a record; what is fetched is not fetched again. A fake stands for the hub."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lai.data.sources import download as module
from lai.data.sources.catalog import KNOWN_SETS
from lai.data.sources.download import download
from lai.data.sources.files import read_documents
from lai.data.sources.hub import Fetched
from lai.host.errors import UserError
from lai.host.files import file_digest
from lai.tokenizer.chat import render

SOURCES = {name: replace(KNOWN_SETS[name].source, limit=2) for name in ("hu_wiki", "en_stories")}
TEXTS = {
    "wikimedia/wikipedia": ["Egy.\nKettő.", "<user>Q</user><assistant>A</assistant>"],
    "roneneldan/TinyStories": ["A dog.", "A cat."],
}


class Hub:
    """Writes two documents of each data set; a name in `missing` cannot be fetched."""

    def __init__(self):
        self.fetched: list[str] = []
        self.missing: set[str] = set()

    def fetch(self, source, path: Path) -> Fetched:
        if source.name in self.missing:
            raise UserError(f"{source.name} is missing")
        self.fetched.append(source.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [{"messages": [{"role": "text", "content": text}]} for text in TEXTS[source.name]]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return Fetched(rows=2, documents=2)


@pytest.fixture
def hub(monkeypatch):
    fake = Hub()
    monkeypatch.setattr(module, "fetch", fake.fetch)
    return fake


def texts(path):
    return [render(document).decode() for document in read_documents(path)]


def test_the_record_names_each_data_set_its_licence_and_the_files_digest(hub, tmp_path):
    output = tmp_path / "new" / "x.jsonl"
    download(output, SOURCES, lambda line: None)
    record = json.loads((tmp_path / "new" / "x.jsonl.sources.json").read_text(encoding="utf-8"))
    assert (record["file"], record["documents"], record["sha256"]) == ("x.jsonl", 4, file_digest(output))
    for entry, name in zip(record["sources"], SOURCES, strict=True):
        known = KNOWN_SETS[name]
        assert (entry["data set"], entry["licence"], entry["url"]) == (name, known.licence, known.url)
        assert (entry["name"], entry["revision"], entry["limit"]) == (known.source.name, known.source.revision, 2)
    assert not (tmp_path / "new" / ".x.jsonl.parts").exists()


def test_txt_leaves_out_what_would_become_markup_and_jsonl_keeps_it(hub, tmp_path):
    said: list[str] = []
    for name in ("x.txt", "x.jsonl"):
        download(tmp_path / name, SOURCES, said.append)
    assert texts(tmp_path / "x.txt") == ["Egy.\nKettő.", "A dog.", "A cat."]
    assert len(texts(tmp_path / "x.jsonl")) == 4
    assert sum("1 documents that look like chat markup are left out" in line for line in said) == 1


def test_the_same_data_sets_are_fetched_once_unless_the_file_changed(hub, tmp_path):
    said: list[str] = []
    download(tmp_path / "x.txt", SOURCES, said.append)
    download(tmp_path / "x.txt", SOURCES, said.append)
    assert len(hub.fetched) == 2 and said[-1].endswith("nothing to fetch")
    (tmp_path / "x.txt").write_text("changed\n")
    download(tmp_path / "x.txt", SOURCES, said.append)
    assert len(hub.fetched) == 4 and len(texts(tmp_path / "x.txt")) == 3


def test_an_interrupted_download_resumes_with_what_was_fetched(hub, tmp_path):
    hub.missing.add("roneneldan/TinyStories")
    with pytest.raises(UserError, match="TinyStories is missing"):
        download(tmp_path / "x.txt", SOURCES, lambda line: None)
    assert not (tmp_path / "x.txt").exists()
    hub.missing.clear()
    download(tmp_path / "x.txt", SOURCES, lambda line: None)
    assert hub.fetched == ["wikimedia/wikipedia", "roneneldan/TinyStories"]


@pytest.mark.parametrize(("name", "message"), [("x.parquet", "ending .txt or .jsonl"), ("", "is a folder")])
def test_a_wrong_output_is_refused_before_anything_is_fetched(hub, tmp_path, name, message):
    with pytest.raises(UserError, match=message):
        download(tmp_path / name, SOURCES, lambda line: None)
    assert not hub.fetched
