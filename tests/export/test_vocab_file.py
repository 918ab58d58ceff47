"""The vocabulary of a vocabulary file and of a model file."""

import struct
import subprocess
import sys

import pytest

import lai
from lai.export.vocab_file import load_vocab
from lai.host.errors import UserError
from lai.tokenizer.vocab import NEVER, Vocab

TOKENS = (b"<pad>", b"<bos>", b"<eos>", b"<unk>", *(bytes([byte]) for byte in range(256)), b"ab")
VOCAB = Vocab(TOKENS, [NEVER] * 4 + [-100.0] * 256 + [-1.0]).to_bytes()


def file_with_vocab(record, offset=256):
    """A model file up to its vocabulary, with other bytes behind it."""
    header = bytearray(256)
    header[:4] = b"LAi1"
    struct.pack_into("<Q", header, 49, offset)
    return bytes(header) + record + bytes(100)


@pytest.mark.parametrize("data", [VOCAB, file_with_vocab(VOCAB)], ids=["vocabulary file", "model file"])
def test_a_vocabulary_loads_from_both_kinds_of_files(tmp_path, data):
    (tmp_path / "file.bin").write_bytes(data)
    assert load_vocab(tmp_path / "file.bin").to_bytes() == VOCAB


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (VOCAB + b"\0", "has 1 bytes after its last token"),
        (file_with_vocab(VOCAB)[:52], "ends inside a model file's header"),
        (file_with_vocab(VOCAB, 1 << 62), "ends before the vocabulary does"),
        (file_with_vocab(VOCAB, 257), "is not a vocabulary"),
        (file_with_vocab(VOCAB)[:300], "says it has 261 tokens"),
    ],
)
def test_a_damaged_vocabulary_is_one_line(tmp_path, data, message):
    path = tmp_path / "file.bin"
    path.write_bytes(data)
    with pytest.raises(UserError, match=message) as error:
        load_vocab(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_missing_vocabulary_is_one_line(tmp_path):
    for path in (tmp_path / "missing.bin", tmp_path):
        with pytest.raises(UserError, match="cannot read the vocabulary"):
            load_vocab(path)


def test_the_public_vocab_loads_from_both_kinds_of_files(tmp_path):
    for data in (VOCAB, file_with_vocab(VOCAB)):
        (tmp_path / "file.bin").write_bytes(data)
        assert lai.Vocab.load(tmp_path / "file.bin").to_bytes() == VOCAB


def test_the_public_vocab_does_not_import_torch():
    code = "import sys; from lai import Vocab; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
