"""Formats are recognized by a file's ending and its beginning."""

import io
import json
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from lai.data.sources.reading import Reading
from lai.data.sources.recognition import recognize

TURNS = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]


@pytest.mark.parametrize(
    ("name", "data", "expected", "since"),
    [
        ("a.txt", "x", "text", ""),
        ("a.jsonl", "\n" + json.dumps({"text": "x"}), "JSON lines of text", ""),
        ("a.ndjson", json.dumps({"conversations": TURNS}), "JSON lines of ShareGPT", ""),
        ("a.jsonl", json.dumps({"messages": TURNS}), "JSON lines of ShareGPT", ""),
        ("a.jsonl", "{", "JSON lines of unknown rows", ""),
        ("a.tsv", "a\tb", "TSV pairs", ""),
        ("a.json", json.dumps([{"instruction": "a", "output": "b"}]), "JSON of Alpaca", "json"),
        ("a.tmx", "", "TMX", "tmx"),
        ("a.en", "", "Moses pairs", "moses"),
        ("a.txt", "a\n<|endoftext|>\nb", "TinyStories text", "stories"),
        ("a.csv", "en;hu\na;b", "CSV of pairs with semicolons", None),
        ("a.tsv", "hu\ten\na\tb", "TSV of pairs", None),
        ("a.tsv", "1\teng\ta", "Tatoeba sentences", None),
    ],
)
def test_a_format_has_a_name_and_a_new_one_a_fingerprint(
    tmp_path: Path, name: str, data: str, expected: str, since: str | None
) -> None:
    (tmp_path / name).write_text(data)
    found = recognize(tmp_path / name)
    assert found.name == expected
    assert bool(found.since) if since is None else found.since == since


def test_a_changed_file_is_looked_at_again(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x")
    assert recognize(path).is_lines
    path.write_text("x\n<|endoftext|>\n")
    assert not recognize(path).is_lines


def test_mapped_rows_are_named_so(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    assert "data.columns" in recognize(tmp_path / "a.csv", Reading(columns={"text": "b"})).name


@pytest.mark.skipif(not hasattr(pyarrow, "json_"), reason="this pyarrow has no JSON type")
def test_parquet_with_json_texts_has_a_fingerprint_of_its_own(tmp_path: Path) -> None:
    for kind, since in ((pyarrow.string(), ""), (pyarrow.json_(), "json")):
        buffer = io.BytesIO()
        parquet.write_table(pyarrow.table({"text": pyarrow.array(['"x"'], pyarrow.string()).cast(kind)}), buffer)
        (tmp_path / f"{since}.parquet").write_bytes(buffer.getvalue())
        assert recognize(tmp_path / f"{since}.parquet").since == since
