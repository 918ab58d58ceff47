"""JSON files: arrays, wrapped arrays, objects."""

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest

from lai.data.sources.discovery import files_left_out, find_files
from lai.data.sources.files import read_file
from lai.data.sources.formats import json_rows
from lai.data.sources.streams import CorpusCounts
from lai.host.errors import UserError

TWO = [(1, "a"), (2, "b")]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ('[{"text": "a"}, {"text": "b"}]', TWO),
        ('\ufeff \r\n[\r\n{"text": "a"} ,\r\n{"text": "b"}\r\n]\r\n', TWO),
        ('{"version": 1, "data": [{"text": "a"}, {"text": "b"}], "more": {"x": []}}', TWO),
        ('{"rows": [{"text": "a"}, {"text": "b"}]}', TWO),
        ('{"text": "a"}\n{"text": "b"}\n', TWO),
        ('{"text": "a", "data": 5}', TWO[:1]),
        ("[]", []),
        ("{}", None),
    ],
)
def test_an_array_a_wrapped_array_and_objects_are_rows(read, data: str, expected: list[tuple[int, str]] | None) -> None:
    if expected is None:
        with pytest.raises(UserError, match=r"a\.json: row 1: found nothing; expected text"):
            read("a.json", data)
    else:
        assert read("a.json", data) == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ('[{"text": "a"}, {"text": "b', "row 2: not JSON .Unterminated string"),
        ('[{"text": "a"}', "row 2: not JSON .Expecting ',' or ']'"),
        ('[{"text": "a"},]', "row 2: not JSON"),
        ('[{"text": "a"}, {"text": x}]', "row 2: not JSON .Expecting value"),
        ('{"data": [{"text": "a"}]', "row 2: not JSON"),
        ("x", "row 1: not JSON"),
        ("[" * 100_000, "row 1: not JSON"),
        ('["a"]', "row 1: found 'a'; expected an object"),
        (b'[{"text": "\xff"}]', "row 1: not JSON"),
        ('[{"text": "a"}]'.encode("utf-16"), "is UTF-16"),
    ],
)
def test_damaged_json_is_an_error_with_the_row(read, data: str | bytes, message: str) -> None:
    with pytest.raises(UserError, match=rf"a\.json.*{message}"):
        read("a.json", data)


def test_rows_are_whole_wherever_a_chunk_ends(read, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"text": 'ő"\\ \U0001f600 x', "n": 12345, "b": True, "c": None, "d": [1.5, -2]} for _ in range(20)]
    for size in range(1, 12):
        monkeypatch.setattr(json_rows, "_CHUNK", size)
        for ascii_only in (True, False):
            data = json.dumps({"data": rows}, ensure_ascii=ascii_only)
            assert read("a.json", data) == [(n, rows[0]["text"]) for n in range(1, 21)]


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json.gz"
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.write('[{"text": "%s"}' % ("x" * 1000))
        for _ in range(40_000):
            file.write(',\n{"text": "%s"}' % ("x" * 1000))
        file.write("]")
    tracemalloc.start()
    assert sum(1 for _ in read_file(path, CorpusCounts())) == 40_001
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20  # the text has 40 MB


def test_a_folder_leaves_out_json_that_holds_no_rows(tmp_path: Path) -> None:
    for name, data in {
        "a.json": '[{"text": "a"}]', "b.json": '{"text": "b"}', "c.json": '{"data": [{"text": "c"}]}', "d.json": "[]",
        "unknown.json": '[{"x": 1}]', "cut.json": '[{"text": "a"',
        "config.json": '{"vocab_size": 5}', "names.json": '["a", "b"]', "comments.json": "{ // no JSON",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(data)
    found = [file.name for file in find_files(tmp_path)]
    assert found == ["a.json", "b.json", "c.json", "cut.json", "d.json", "unknown.json"]
    assert files_left_out(tmp_path) == {".json": 3}
    assert find_files(tmp_path / "config.json") == [tmp_path / "config.json"]
