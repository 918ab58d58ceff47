"""How rows are read, and what happens to faulty ones."""

from pathlib import Path

import pytest

from lai.data.sources.files import read_documents
from lai.data.sources.reading import Reading
from lai.data.sources.streams import CorpusCounts
from lai.host.errors import UserError
from lai.tokenizer.chat import Turn, plain

SKIP = Reading(bad_rows="skip")


def test_one_odd_row_does_not_end_a_run_that_skips(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    good = b'{"text": "x"}\n'
    path.write_bytes(good * 5000 + b"{oops\n" + good * 5000)
    with pytest.raises(UserError, match=r"a\.jsonl:5001: not JSON .*; data\.bad_rows=skip leaves such rows out"):
        list(read_documents(path))
    counts = CorpusCounts()
    assert sum(1 for _ in read_documents(path, counts, SKIP)) == 10_000
    assert counts.bad_rows == 1
    assert counts.bad_places[0].startswith(f"{path}:5001 (not JSON")


def test_only_the_first_places_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "x"}\n5\n' * 20)
    counts = CorpusCounts()
    list(read_documents(path, counts, SKIP))
    assert (counts.bad_rows, len(counts.bad_places)) == (20, 5)


def test_a_file_of_mostly_faulty_rows_is_an_error_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "x"}\n{"body": "x"}\n{"body": "x"}\n')
    with pytest.raises(UserError, match=r"a\.jsonl:2: found 'body'; expected text, .*; 2 of 3 rows are faulty"):
        list(read_documents(path, CorpusCounts(), SKIP))


def test_columns_and_template_map_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"q": {"text": "<user>"}, "a": 5}\n')
    template = "<user>{q.text}</user><assistant>{a}</assistant>"
    rows = read_documents(path, CorpusCounts(), Reading(template=template))
    assert list(rows) == [(Turn("user", b"<user>"), Turn("assistant", b"5"))]
    assert list(read_documents(path, CorpusCounts(), Reading(columns={"text": "q.text"}))) == [plain(b"<user>")]
    with pytest.raises(UserError, match=r"a\.jsonl:1: found columns 'q', 'a'; expected b"):
        list(read_documents(path, CorpusCounts(), Reading(columns={"text": "b"})))
    with pytest.raises(UserError, match=r"data\.template is 'x'; expected at least one column"):
        list(read_documents(path, CorpusCounts(), Reading(template="x")))


def test_only_settings_that_are_not_the_default_identify_a_reading() -> None:
    assert Reading().identity() == {} == Reading(columns={}).identity()
    assert Reading({"text": "a"}, "{text}", "skip").identity() == {
        "columns": {"text": "a"},
        "template": "{text}",
        "bad_rows": "skip",
    }
