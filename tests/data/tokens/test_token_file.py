"""Token files: what a document becomes, and what pickling carries."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from lai.data.tokens.token_file import TokenFile, TokenWriter, encode_documents, token_dtype
from lai.host.errors import UserError
from lai.tokenizer.chat import CHAT_TAGS, Turn, plain
from lai.tokenizer.vocab import Vocab


def test_an_example_has_tag_tokens_and_a_literal_tag_has_none(vocab: Vocab) -> None:
    example = (Turn("user", b"say </user>"), Turn("assistant", b""))
    tokens, lengths = encode_documents([example, plain(b"<user>dog")], vocab)
    tag = {name: vocab.tag_id(name) for name in CHAT_TAGS}
    first = [1, tag[b"<user>"], *vocab.encode_text(b"say </user>"), tag[b"</user>"]]
    first += [tag[b"<assistant>"], tag[b"</assistant>"], 2]
    second = [1, *vocab.encode_text(b"<user>dog"), 2]
    assert tokens.tolist() == first + second
    assert lengths.tolist() == [len(first), len(second)]
    assert tokens.tolist().count(tag[b"</user>"]) == 1 and tokens.tolist().count(tag[b"<user>"]) == 1


def test_token_dtype_holds_the_largest_id() -> None:
    assert [token_dtype(size) for size in (65_536, 65_537)] == ["uint16", "uint32"]


def test_a_pickled_token_file_carries_no_tokens(tmp_path: Path) -> None:
    with TokenWriter(tmp_path / "x.bin", "uint32") as writer:
        writer.add(np.arange(10, 20), np.array([4, 6]), 0)
    file = TokenFile(tmp_path / "x.bin", "uint32")
    file.document(0)
    copy = pickle.loads(pickle.dumps(file))
    assert vars(copy).keys() == {"path", "dtype"}
    assert copy.document(1).tolist() == file.document(1).tolist() == list(range(14, 20))


def test_a_file_that_is_cut_while_it_is_read_is_one_line(tmp_path: Path) -> None:
    with TokenWriter(tmp_path / "x.bin", "uint16") as writer:
        writer.add(np.arange(10_000), np.array([4_000, 6_000]), 0)
    file = TokenFile(tmp_path / "x.bin", "uint16")
    assert file.read(np.array([9_998, 0]), np.array([2, 3])).tolist() == [9_998, 9_999, 0, 1, 2]
    os.truncate(tmp_path / "x.bin", 9_001)
    assert file.document(0).tolist() == list(range(4_000))
    with pytest.raises(UserError, match=r"x.bin was cut while .* it has 9,001 bytes, 20,000 are expected"):
        file.document(1)
