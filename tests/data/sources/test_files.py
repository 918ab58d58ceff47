"""Data files of all kinds to documents."""

import gzip
from pathlib import Path

import pytest

from lai.data.sources.files import in_batches, read_documents, read_file
from lai.data.sources.streams import CorpusCounts
from lai.tokenizer.chat import plain


def test_a_folder_gives_the_documents_of_all_kinds_in_the_order_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\n\ntwo\n")
    (tmp_path / "b.jsonl").write_bytes(b'{"text": "three"}\n{"en": "x", "hu": ""}\n')
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(b"four"))
    counts = CorpusCounts()
    assert list(read_documents(tmp_path, counts)) == [plain(text) for text in (b"one", b"two", b"three", b"four")]
    size = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert counts == CorpusCounts(documents=4, empty=1, skipped=1, bytes_read=size)


def test_each_document_has_the_number_of_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\n\n\nfour\n")
    assert [number for number, _ in read_file(tmp_path / "a.txt", CorpusCounts())] == [1, 4]


def test_batches_keep_the_order_and_are_neither_long_nor_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lai.data.sources.files._BATCH_BYTES", 10)
    monkeypatch.setattr("lai.data.sources.files._BATCH_DOCUMENTS", 3)
    documents = [plain(b"x" * size) for size in (1, 1, 1, 9, 1, 50, 2)]
    batches = list(in_batches(documents))
    assert [len(batch) for batch in batches] == [3, 2, 1, 1]
    assert [document for batch in batches for document in batch] == documents
