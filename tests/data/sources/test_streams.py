"""Damaged files and files in another encoding."""

import gzip
import sys
from pathlib import Path
from types import SimpleNamespace

import pyarrow
import pytest
from processes import python
from pyarrow import parquet
from toy_sources import read, write

from lai.data.sources import streams
from lai.data.sources.files import read_documents
from lai.data.sources.formats import json_rows, stories, tmx
from lai.data.sources.reading import Reading
from lai.host.errors import UserError


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_an_error_with_the_command_that_converts_it(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "a.txt", "\ufeffA ló fut.\nThe horse runs.\n".encode(encoding))
    with pytest.raises(UserError, match=r"a\.txt is UTF-16; expected UTF-8: iconv "):
        read(path)


@pytest.mark.parametrize("encoding", ["utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv"])
def test_utf_32_is_not_called_utf_16(tmp_path: Path, encoding: str, name: str) -> None:
    path = write(tmp_path / name, "\ufeffA ló fut.\nThe horse runs.\n".encode(encoding))
    with pytest.raises(UserError, match=rf"{name} is UTF-32; expected UTF-8: iconv -f UTF-32 -t UTF-8 "):
        read(path)


@pytest.mark.parametrize("name", ["a.txt.gz", "a.jsonl.gz", "a.tsv.gz", "a.parquet.gz"])
def test_damaged_gzip_is_an_error_that_names_the_file(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, b'{"text": "x"}\n' * 1000)
    packed = path.read_bytes()
    for data in (packed[: len(packed) // 2], b"plain text", packed[:12] + b"\xff" * 8 + packed[20:]):
        path.write_bytes(data)
        with pytest.raises(UserError, match="damaged gzip file"):
            read(path)


def zstd(data: bytes) -> bytes:
    packed: bytes = pyarrow.compress(data, codec="zstd", asbytes=True)
    return packed


@pytest.mark.parametrize("name", ["a.txt.zst", "A.TXT.ZST"])
def test_zstandard_is_unpacked_frame_after_frame(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(zstd(b"\xef\xbb\xbfone\r\n") + zstd(b"two\n" * 50_000))
    documents, counts = read(path)
    assert len(documents) == 50_001
    assert counts.bytes_read == path.stat().st_size


def test_damaged_zstandard_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    packed = zstd(b"\n".join(b"%d" % n for n in range(10_000)))
    for data in (packed[:100], b"plain text", packed[:20] + bytes(20) + packed[40:]):
        path = tmp_path / "a.jsonl.zst"
        path.write_bytes(data)
        with pytest.raises(UserError, match=r"a\.jsonl\.zst is a damaged Zstandard file"):
            read(path)


def test_pyarrow_without_zstandard_is_one_line_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt.zst"
    path.write_bytes(zstd(b"x"))
    monkeypatch.setattr(pyarrow, "Codec", SimpleNamespace(is_available=lambda name: False))
    with pytest.raises(UserError, match=r"pyarrow was built without Zstandard; unpack it: zstd -d .*a\.txt\.zst"):
        read(path)


@pytest.mark.parametrize(
    ("name", "data", "place"),
    [
        ("a.txt", b"one\n" + b"x" * 5000, ":2: found a line"),
        ("a.tsv", b"dog\tkutya\n" + b"x" * 5000 + b"\ty", ":2: found a line"),
        ("a.jsonl", b'{"text": "a"}\n\n{"text": "' + b"x" * 5000 + b'"}', ":3: found a line"),
        ("a.csv", b"en,hu\ndog,kutya\n" + b"x" * 5000 + b",y", ":3: found a line"),
        ("a.json", b'[{"text": "a"}, {"text": "' + b"x" * 9000 + b'"}]', ": row 2: found a value"),
        ("a.txt", b"one\n<|endoftext|>\n" + b"two\n" * 2000 + b"<|endoftext|>\n", ":3: found a text"),
        ("a.tmx", b'<tmx><body><tu><tuv lang="en"><seg>' + b"x" * 5000 + b"</seg>", ":1: found a segment"),
        ("a.tmx", b"<tmx>\n<body " + b"x" * 5000 + b"></body></tmx>", ":2: found a segment or a tag"),
    ],
)
def test_a_row_that_is_far_too_long_is_refused_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, data: bytes, place: str
) -> None:
    for module in (streams, json_rows, stories, tmx):
        monkeypatch.setattr(module, "MAX_LINE", 4000)
    for module in (json_rows, tmx):
        monkeypatch.setattr(module, "_CHUNK", 1000)
    path = write(tmp_path / name, data)
    with pytest.raises(UserError, match=rf"{name}{place}") as caught:
        read(path)
    assert "64 MB" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.txt.gz", "a.txt.zst", "a.jsonl.gz", "a.parquet.zst", "a.parquet", "a.tmx.gz"])
def test_a_file_that_unpacks_to_more_than_is_allowed_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    line = b'{"text": "' + b"dog " * 100 + b'"}\n'
    data = b"<tmx>" + b"<!-- dog -->" * 50_000 if ".tmx" in name else line * 2000
    if ".parquet" in name:
        sink = pyarrow.BufferOutputStream()
        table = pyarrow.table({"text": [f"dog {number} " * 40 for number in range(2000)]})
        parquet.write_table(table, sink, compression="none" if "zst" in name else "zstd")
        data = sink.getvalue().to_pybytes()
    path.write_bytes(gzip.compress(data) if ".gz" in name else zstd(data) if ".zst" in name else data)
    with pytest.raises(
        UserError, match=rf"{name} has [\d,]+ bytes and unpacks to more than 400,000; .*data.max_unpacked"
    ):
        list(read_documents(path, reading=Reading(max_unpacked=400_000)))
    if ".tmx" not in name:
        assert len(list(read_documents(path, reading=Reading(max_unpacked=4_000_000)))) == 2000
        assert len(list(read_documents(path))) == 2000


def test_without_a_limit_a_packed_file_may_unpack_to_a_hundred_times_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress((b"x" * 99 + b"\n") * 100_000))  # to a nine-hundredth
    assert len(read(path)[0]) == 100_000
    monkeypatch.setattr(streams, "_MIN_LIMIT", 1_000_000)
    with pytest.raises(UserError, match=r"a.txt.gz has [\d,]+ bytes and unpacks to more than [\d,]+; "):
        read(path)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '[{"text": ' * 100_000])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_deep_json_is_refused_with_its_place(tmp_path: Path, name: str, text: str) -> None:
    path = write(tmp_path / name, b'{"text": "a"}\n{"text": "b"}\n' + text.encode() + b"\n")
    with pytest.raises(UserError, match=rf"{name}: ?(row )?3: not JSON \(") as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the address space cannot be limited elsewhere")
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "a.json", "a.tmx"])
def test_a_line_of_a_gigabyte_takes_little_memory(tmp_path: Path, name: str) -> None:
    start = {"a.json": b'[{"text": "', "a.tmx": b"<tmx><tu><tuv><seg>", "a.csv": b"en,hu\n"}.get(name, b"")
    path = write(tmp_path / name, start + b"x" * 1000)
    with path.open("r+b") as file:
        file.truncate(1_000_000_000)  # the rest is a hole, which takes no room on the disk
    program = f"""
import resource
from lai.data.sources.files import read_documents
from lai.host.errors import UserError
from lai.host.memory import free_memory
import lai.data.sources.formats.tmx, pyarrow
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 500_000_000, -1))
try:
    list(read_documents({str(path)!r}))
except UserError as error:
    print(error)
"""
    done = python("-c", program)
    assert done.stdout.startswith(f"{path}:") and done.stdout.count("\n") == 1, done.stderr
