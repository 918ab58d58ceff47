"""Texts and their places."""

from pathlib import Path

import pyarrow
from pyarrow import parquet
from toy_quality import findings, write

from lai.data.quality.report import examine


def test_places_count_lines_and_rows_that_are_left_out(tmp_path: Path) -> None:
    pairs = write(tmp_path / "a.tsv", [b"only one side", b"", b"the dog\ta kutya", b"the <user>\ta <user>"])
    table = tmp_path / "b.parquet"
    parquet.write_table(pyarrow.table({"text": ["one", None, "", "one"]}), table)
    again = write(tmp_path / "c.tsv", [b"", b"the dog\ta kutya"])
    found = findings(examine([pairs, table, again]))
    assert found["tags as letters"].places == [f"{pairs}:4"]
    assert found["unique"].places == [f"{table}: row 4", f"{again}:2"]
