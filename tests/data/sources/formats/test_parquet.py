"""Parquet files."""

import gzip
import io
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from lai.data.sources.files import read_documents
from lai.data.sources.streams import CorpusCounts
from lai.host.errors import UserError
from lai.tokenizer.chat import Document, Turn, plain, translation_examples


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def table(**columns: list[Any]) -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), buffer)
    return buffer.getvalue()


def read(path: Path) -> tuple[list[Document], CorpusCounts]:
    counts = CorpusCounts()
    return list(read_documents(path, counts)), counts


@pytest.mark.parametrize("ending", ["parquet", "parquet.gz"])
def test_parquet_columns(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    assert read(write(path, table(text=["x\ny", None], other=[1, 2])))[0] == [plain(b"x\ny")]
    messages = [[{"role": "user", "content": "<user>"}]]
    assert read(write(path, table(messages=messages)))[0] == [(Turn("user", b"<user>"),)]
    expected = list(translation_examples(b"dog", b"kutya"))
    documents, counts = read(write(path, table(en=["dog", None], hu=["kutya", "x"])))
    assert (documents, counts.skipped) == (expected, 1)
    documents, counts = read(write(path, table(translation=[{"en": "dog", "hu": "kutya"}, None])))
    assert (documents, counts.skipped) == (expected, 1)
    assert read(write(path, table(text=[f"{n}" for n in range(5000)])))[0] == [plain(b"%d" % n) for n in range(5000)]


def test_a_wrong_parquet_row_is_an_error_with_its_number(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.parquet: row 1: found 'body'; expected text"):
        read(write(tmp_path / "a.parquet", table(body=["x"])))
    whole = table(text=["x" * 1000, "y"] * 1000)
    for data in (b"", b"PAR1 nothing PAR1", whole[:-30], whole[:20] + bytes(200) + whole[220:]):
        with pytest.raises(UserError, match=r"a\.parquet.*(damaged|cannot be read)"):
            read(write(tmp_path / "a.parquet", data))


def test_json_texts_that_datasets_writes_are_what_they_hold(tmp_path: Path) -> None:
    """`datasets` 5.2 writes `Json` where messages differ in their keys, or contents in their types."""
    datasets = pytest.importorskip("datasets", minversion="5.2")
    user, answer = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}
    expected = (Turn("user", b"a"), Turn("assistant", b"b"))
    parts = [{"type": "text", "text": "a"}]
    for odd in (user | {"name": "x"}, user | {"content": parts}):
        rows = [{"messages": [user, answer]}, {"messages": [odd, answer]}]
        path = tmp_path / "a.parquet"
        datasets.Dataset.from_list(rows, on_mixed_types="use_json").to_parquet(str(path))
        assert "json" in str(parquet.ParquetFile(path).schema_arrow)
        assert read(path)[0] == [expected, expected]


def test_shapes_of_rows_are_those_of_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    turns = [[{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]]
    expected = [(Turn("user", b"a"), Turn("assistant", b"b"))]
    assert read(write(path, table(id=[1], conversations=turns)))[0] == expected
    assert read(write(path, table(instruction=["a"], input=[None], output=["b"])))[0] == expected
    assert read(write(path, table(English=["dog"], Hungarian=["kutya"])))[0] == list(
        translation_examples(b"dog", b"kutya")
    )
