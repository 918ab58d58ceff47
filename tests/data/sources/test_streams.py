"""Damaged files and files in another encoding."""

from pathlib import Path
from types import SimpleNamespace

import pyarrow
import pytest
from toy_sources import read, write

from lai.host.errors import UserError


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_an_error_with_the_command_that_converts_it(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "a.txt", "\ufeffA ló fut.\nThe horse runs.\n".encode(encoding))
    with pytest.raises(UserError, match=r"a\.txt is UTF-16; expected UTF-8: iconv "):
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
