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
