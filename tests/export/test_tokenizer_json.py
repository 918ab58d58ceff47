"""tokenizer.json: names, merges and their order, and what it cannot hold."""

import pytest
from toy_vocab import PREFIXES, chat_vocab

from lai.export.tokenizer_json import tokenizer_json
from lai.host.errors import UserError
from lai.tokenizer.chat import CHAT_TAGS


def test_bytes_of_ascii_are_named_by_their_characters(small_vocab):
    names = tokenizer_json(small_vocab)["model"]["vocab"]
    assert (names["a"], names[" "], names["\n"]) == (101, 36, 14)
    assert (names["<0x00>"], names["<0x80>"], names["<0xFF>"]) == (4, 132, 259)
    assert "<0x41>" not in names
    assert sorted(names.values()) == [*range(len(small_vocab))]


def test_tags_are_special_and_no_merge_leads_to_them(small_vocab):
    content = tokenizer_json(small_vocab)
    special = {token["content"]: token["id"] for token in content["added_tokens"] if token["special"]}
    assert special.keys() == {"<pad>", "<bos>", "<eos>", "<unk>", *(tag.decode() for tag in CHAT_TAGS)}
    for tag in CHAT_TAGS:
        assert special[tag.decode()] == small_vocab.tag_id(tag) == content["model"]["vocab"][tag.decode()]
    joined = {left + right for left, right in content["model"]["merges"]}
    assert joined.isdisjoint({step.decode() for step in PREFIXES} | special.keys())


def test_every_way_to_cut_a_token_is_a_merge_the_highest_score_first():
    merges = tokenizer_json(chat_vocab(b"ab", b"bc", b"abc"))["model"]["merges"]
    assert merges == [("a", "b"), ("b", "c"), ("ab", "c"), ("a", "bc")]


def test_of_overlapping_places_the_left_one_is_merged_as_by_the_format():
    tokenizers = pytest.importorskip("tokenizers", reason="it reads tokenizer.json, and is not installed")
    from json import dumps

    vocab = chat_vocab("á".encode(), b"ab", b"ba", b"aba", b"  ", b"   ", b"     ", "ába".encode())
    tokenizer = tokenizers.Tokenizer.from_str(dumps(tokenizer_json(vocab)))
    for text in ("ababa", "abaaba", "abba aab", *(" " * n for n in range(20)), "ába", "abába"):
        assert tokenizer.encode(text, add_special_tokens=False).ids == vocab.encode_text(text), text


def test_a_token_whose_character_is_no_token_cannot_be_held():
    with pytest.raises(UserError, match=r"'né' is a token, its character 'é' is none; export to --format gguf"):
        tokenizer_json(chat_vocab("né".encode()))


def test_tokens_of_the_same_score_cannot_be_held():
    from toy_vocab import MARKUP, byte_vocab

    vocab = byte_vocab([b"ab", b"bc", *sorted(MARKUP, key=len)], [-1, -1, *(1000 + n for n in range(len(MARKUP)))])
    with pytest.raises(UserError, match=r"'ab' and 'bc' have the same score"):
        tokenizer_json(vocab)
