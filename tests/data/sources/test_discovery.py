"""Files, folders and patterns, and what they leave out."""

import errno
import gzip
import os
from pathlib import Path
from typing import Any

import pytest

from lai.data.sources.discovery import files_left_out, find_files
from lai.data.sources.reading import Reading
from lai.host.errors import UserError


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def test_a_folder_that_cannot_be_read_is_not_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.txt", b"read\n")
    (tmp_path / ".hidden").mkdir()
    assert find_files(tmp_path) == [tmp_path / "a.txt"]
    (tmp_path / "locked").mkdir()
    listed = os.scandir

    def scandir(path: str) -> Any:
        if Path(path).name in ("locked", ".hidden"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(UserError, match="locked cannot be read: Permission denied"):
        find_files(tmp_path)


def test_files_folders_and_globs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["b.txt", "a.txt", "deep/er/c.jsonl.gz", "deep/d.TSV", "x[1].txt", ".hidden.txt", ".cache/e.txt", "f.md"]
    for name in names:
        write(tmp_path / name, b"x")

    def found(*paths: str) -> list[str]:
        return [str(file.relative_to(tmp_path)) for file in find_files([tmp_path / path for path in paths])]

    every = ["a.txt", "b.txt", "deep/d.TSV", "deep/er/c.jsonl.gz", "x[1].txt"]
    assert found(".") == every
    assert found("b.txt", "*.txt", ".") == every
    assert found("x[1].txt") == ["x[1].txt"]
    assert found("**/*.jsonl*") == ["deep/er/c.jsonl.gz"]
    assert found("*") == ["a.txt", "b.txt", "x[1].txt"]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_files("~/a.txt") == [tmp_path / "a.txt"]
    (tmp_path / "g.txt").symlink_to(tmp_path / "a.txt")
    assert found("g.txt", "a.txt") == ["g.txt"]


def test_files_that_a_folder_leaves_out_are_counted_by_ending(tmp_path: Path) -> None:
    """But for hidden ones and what LAi writes beside texts: sidecars, locks, vocabularies and models."""
    for name in (
        "a.txt", "b.md", "deep/c.MD", "deep/d.docx", "e.md.gz", "README", "f.json", ".hidden.md", ".cache/g.md",
        "a.txt.sources.json", "a.txt.json", "a.txt.lock", "vocab.bin", "model.ckpt",
    ):  # fmt: skip
        write(tmp_path / name, b"x")
    expected = {".md": 2, ".docx": 1, ".gz": 0, ".md.gz": 1, "without ending": 1, ".json": 1}
    assert files_left_out(tmp_path) == {ending: count for ending, count in expected.items() if count}
    assert files_left_out([tmp_path, tmp_path / "b.md", tmp_path / "*"]) == files_left_out(tmp_path)
    assert files_left_out(tmp_path / "*.txt") == files_left_out(tmp_path / "a.txt") == {}
    assert files_left_out(tmp_path / "deep" / "*") == {".md": 1, ".docx": 1}
    with pytest.raises(UserError, match=r"deep holds no file of a known kind but 1 \.\w+, 1 \.\w+; expected"):
        find_files(tmp_path / "deep")


def test_a_path_that_matches_nothing_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "f.md", b"x")
    for path, message in [
        ("f.md", "no known kind"),
        ("*.csv", "matches no file"),
        (".", "holds no file"),
        ("*", "holds"),
    ]:
        with pytest.raises(UserError, match=rf"{message}.*expected files ending in \.txt, \.jsonl, \.tsv, \.parquet"):
            find_files(tmp_path / path)
    with pytest.raises(UserError, match="no data files"):
        find_files([])


def test_tables_of_unknown_columns_are_left_out_unless_they_are_named_or_mapped(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", b"en,hu\nx,y\n")
    unknown = write(tmp_path / "b.csv", b"first,second\nx,y\n")
    assert find_files(tmp_path) == [tmp_path / "a.csv"]
    assert files_left_out(tmp_path) == {".csv": 1}
    assert find_files(unknown) == [unknown]
    mapped = Reading(columns={"en": "first", "hu": "second"})
    assert find_files(tmp_path, mapped) == [tmp_path / "a.csv", unknown]
    with pytest.raises(UserError, match=r"b\.csv:1: found the columns 'first', 'second'; expected .*data\.columns"):
        find_files(tmp_path / "b*.csv")


def test_a_pipe_is_refused_by_name_and_a_folder_leaves_it_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    with pytest.raises(UserError, match=r"cannot read .*a\.txt: it is a named pipe; expected a regular file"):
        find_files(tmp_path / "a.txt")
    (tmp_path / "loop.txt").symlink_to(tmp_path / "loop.txt")
    (tmp_path / "within").symlink_to(tmp_path)
    (tmp_path / "b.txt").write_text("dog\n")
    assert find_files(tmp_path) == [tmp_path / "b.txt"]
