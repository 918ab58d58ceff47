"""Text files."""

import gzip
from pathlib import Path

import pytest
from toy_sources import read, write

from lai.data.sources.streams import CorpusCounts
from lai.tokenizer.chat import Turn, plain


@pytest.mark.parametrize("ending", ["txt", "txt.gz", "TXT.GZ"])
def test_only_a_line_feed_ends_a_line(tmp_path: Path, ending: str) -> None:
    others = "a\u2029b\u0085c\x0bd\x0ce\rf".encode()
    data = (
        b"\xef\xbb\xbffirst\r\n\n \t\r\n" + others + b"\n\xff\xfe bad\n<user>q</user><assistant>a</assistant>\n last "
    )
    path = tmp_path / f"x.{ending}"
    path.write_bytes(gzip.compress(data) if ending.lower().endswith("gz") else data)
    documents, counts = read(path)
    assert documents == [
        plain(b"first"),
        plain(others),
        plain(b"\xff\xfe bad"),
        (Turn("user", b"q"), Turn("assistant", b"a")),
        plain(b" last "),
    ]
    assert counts == CorpusCounts(documents=5, empty=2, bytes_read=path.stat().st_size)


def test_stray_tags_are_text(tmp_path: Path) -> None:
    documents, _ = read(write(tmp_path / "a.txt", b"see <user> here\n<user>open\nnone\n"))
    assert documents == [plain(b"see <user> here"), plain(b"<user>open"), plain(b"none")]
