"""Pairs of sentences."""

import gzip
from pathlib import Path

import pytest

from lai.data.sources.files import read_documents
from lai.data.sources.streams import CorpusCounts
from lai.host.errors import UserError
from lai.tokenizer.chat import Document, translation_examples


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def read(path: Path) -> tuple[list[Document], CorpusCounts]:
    counts = CorpusCounts()
    return list(read_documents(path, counts)), counts


def test_pairs_become_both_directions_and_faults_are_counted(tmp_path: Path) -> None:
    lines = b"dog\tkutya\r\n\nno tab\na\tb\tc\n \tx\ncat\tmacska\nmouse\teg\xc3\xa9r"
    documents, counts = read(write(tmp_path / "a.tsv.gz", lines))
    pairs = [(b"dog", b"kutya"), (b"cat", b"macska"), (b"mouse", "egér".encode())]
    assert documents == [document for pair in pairs for document in translation_examples(*pair)]
    assert (counts.documents, counts.empty, counts.skipped) == (6, 1, 3)


def test_a_file_of_mostly_faulty_pairs_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", b"a\tb\nc\nd\n")
    with pytest.raises(UserError, match=r"a\.tsv:2: 2 of 3 lines .* expected English, a tab, Hungarian"):
        read(path)
