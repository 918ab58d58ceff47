"""Files in chunks, which training and the quality report read."""

import gzip
from pathlib import Path

import pytest

from lai.data.sources import chunks
from lai.data.sources.chunks import read_in_chunks
from lai.data.sources.reading import Reading
from lai.data.sources.streams import CorpusCounts
from lai.host.errors import UserError


def test_a_line_that_is_far_too_long_is_refused_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "MAX_LINE", 4000)
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 1000)
    path = tmp_path / "a.txt"
    path.write_bytes(b"dog\n" * 500 + b"x" * 3000 + b"\n" + b"y" * 6000 + b"\n")
    with pytest.raises(UserError, match=r"a\.txt:502: found a line of more than 64 MB; expected a row or a text"):
        list(read_in_chunks([path], CorpusCounts()))


def test_text_that_unpacks_to_more_than_is_allowed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"x" * 99 + b"\n" * 10_000))
    with pytest.raises(UserError, match=r"a\.txt\.gz has [\d,]+ bytes and unpacks to more than 4,000; "):
        list(read_in_chunks([path], CorpusCounts(), Reading(max_unpacked=4000)))
    assert sum(len(chunk.text or b"") for chunk in read_in_chunks([path], CorpusCounts())) == 10_099
