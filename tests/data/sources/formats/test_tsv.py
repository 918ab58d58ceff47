"""Pairs of sentences."""

from pathlib import Path

import pytest
from toy_sources import read, write

from lai.host.errors import UserError
from lai.tokenizer.chat import translation_examples


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
