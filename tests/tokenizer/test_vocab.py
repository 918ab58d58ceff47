"""The vocabulary: tags, decoding, and its file."""

import hashlib
import pickle
import random
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_steps import odd_texts
from properties import examples
from toy_vocab import MARKUP, PREFIXES, WORDS, byte_vocab

from lai import Vocab
from lai.host.errors import UserError
from lai.tokenizer.chat import CHAT_TAGS
from lai.tokenizer.vocab import to_utf8

# Whole and broken characters, tags and their beginnings, words that have tokens, and their pieces, in any order.
PIECES = st.one_of(
    st.sampled_from([*CHAT_TAGS, *sorted(PREFIXES), *WORDS, "\u2581 e\u0301 😀 日本".encode()]),
    st.binary(max_size=4),
    st.text(max_size=4).map(str.encode),
)
ANY_BYTES = st.lists(PIECES, max_size=12).map(b"".join) | st.binary(max_size=200)
ANY_TEXT = st.text(st.characters() | st.characters(categories=["Cs"]) | st.sampled_from("<>/user áőűe\u0301"))
ANY_TOKENS = st.dictionaries(st.binary(min_size=2, max_size=6), st.floats(-1e9, 1e3, width=32), max_size=20)


def test_text_may_be_str_with_surrogates(vocab):
    assert vocab.decode(vocab.encode("kutya\udcff\udcc3 é")) == b"kutya\xff\xc3 " + "é".encode()
    assert vocab.decode(vocab.encode_text("\ud800")) == b"\xed\xa0\x80"
    assert vocab.encode("") == vocab.encode(b"") == vocab.encode_text("") == []


def test_a_tag_is_one_token_in_any_context(vocab):
    for tag in CHAT_TAGS:
        tag_id = vocab.tag_id(tag)
        assert vocab.tokens[tag_id] == tag
        for around in (*odd_texts(300, WORDS, seed=6), b"<", b"</", b"<u", b"<use", b">", b"r>", b"x<", b" <", b"a"):
            if around[-4:].isascii():
                # A cut-off character before the tag would swallow its first bytes, by step 1.
                assert tag_id in vocab.encode(around + tag)
            assert vocab.encode(tag + around)[0] == tag_id


def test_encode_text_never_forms_a_tag(vocab):
    tag_ids = {vocab.tag_id(tag) for tag in CHAT_TAGS} | {vocab.tokens.index(prefix) for prefix in PREFIXES}
    for text in [*odd_texts(2000, WORDS, seed=7), b"".join(CHAT_TAGS)]:
        assert not tag_ids.intersection(vocab.encode_text(text))
        assert vocab.decode(vocab.encode_text(text)) == text


def test_a_missing_tag_is_a_user_error():
    with pytest.raises(UserError, match="no token for the chat tag '<user>'"):
        byte_vocab([], []).tag_id(b"<user>")
    # The tag is there, but the three steps do not reach it.
    with pytest.raises(UserError, match="no token for the chat tag"):
        byte_vocab([b"<user>"], [5.0]).tag_id(b"<user>")


def test_decoding_gives_every_byte_string_back(vocab):
    for text in odd_texts(5000, WORDS, seed=8):
        assert vocab.decode(vocab.encode(text)) == text


def test_control_tokens_decode_to_nothing_and_tags_to_their_letters(vocab):
    ids = [vocab.BOS, vocab.tag_id(b"<user>"), *vocab.encode_text(b"<eos>"), vocab.UNK, vocab.PAD, vocab.EOS]
    assert vocab.decode(ids) == b"<user><eos>"
    assert vocab.decode(np.array(ids)) == b"<user><eos>"
    assert not {0, 1, 2, 3}.intersection(vocab.encode(b"<pad><bos><eos><unk>"))


@pytest.mark.parametrize("wrong", [-1, 700, 1 << 40])
def test_an_id_out_of_range_is_an_error(vocab, wrong):
    with pytest.raises(UserError, match=f"token id {wrong} is not in this vocabulary"):
        vocab.decode([5, wrong, 5])


def test_byte_lengths_count_what_decoding_gives(vocab):
    assert vocab.byte_lengths.dtype == np.int32
    assert vocab.byte_lengths.tolist() == [len(vocab.decode([index])) for index in range(len(vocab))]
    assert vocab.byte_lengths[:4].tolist() == [0, 0, 0, 0]


def parse_by_hand(data):
    magic, version, n = struct.unpack_from("<III", data)
    assert (magic, version) == (0x4C414956, 1)
    records, position = [], 12
    for _ in range(n):
        (length,) = struct.unpack_from("<I", data, position)
        token, score = struct.unpack_from(f"<{length}sf", data, position + 4)
        records.append((token, score))
        position += 8 + length
    assert position == len(data)
    return records


def test_the_file_is_as_the_format_says(vocab, tmp_path):
    vocab.save(tmp_path / "vocab.bin")
    data = (tmp_path / "vocab.bin").read_bytes()
    records = parse_by_hand(data)
    assert records == list(zip(vocab.tokens, vocab.scores.tolist(), strict=True))
    assert records[:4] == [(b"<pad>", -1e10), (b"<bos>", -1e10), (b"<eos>", -1e10), (b"<unk>", -1e10)]
    assert records[4:260] == [(bytes([byte]), -100.0) for byte in range(256)]
    learned = [score for token, score in records[260:] if token not in MARKUP]
    assert learned == sorted(set(learned), reverse=True)
    markup = [(token, score) for token, score in records[260:] if token in MARKUP]
    assert sorted(token for token, _ in markup) == sorted(MARKUP)
    assert all(score == 1000 + len(token) for token, score in markup)
    assert vocab.fingerprint == hashlib.sha256(data).hexdigest()


def test_files_and_pickles_give_the_same_vocabulary_back(vocab, tmp_path):
    vocab.save(tmp_path / "vocab.bin")
    vocab.encode(b"warm the caches")
    for copy in (Vocab.load(tmp_path / "vocab.bin"), pickle.loads(pickle.dumps(vocab))):
        assert copy.tokens == vocab.tokens
        assert copy.fingerprint == vocab.fingerprint
        assert copy.encode(b"<user>a kutya</user>") == vocab.encode(b"<user>a kutya</user>")


GOOD = byte_vocab([b"ab"], [-1.0]).to_bytes()

RECORD_4 = 12 + 4 * 13  # where token 4's record starts, after the four control tokens


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"VI", "ends before the vocabulary does"),
        (b"PNG\0" + GOOD[4:], "is not a vocabulary"),
        (GOOD[:4] + struct.pack("<I", 2) + GOOD[8:], "has vocabulary version 2"),
        (GOOD[:8] + struct.pack("<I", 0xFFFFFFFF) + GOOD[12:], "says it has 4294967295 tokens"),
        (GOOD[:8] + struct.pack("<I", 259) + GOOD[12:], "bytes after its last token|at least 260"),
        (GOOD[:8] + struct.pack("<I", 262) + GOOD[12:], "ends inside token 261 of 262"),
        (GOOD[:-1], "ends inside token 260"),
        (GOOD + b"\0", "has 1 bytes after its last token"),
        (GOOD[:12] + struct.pack("<I", 0xFFFFFFFF) + GOOD[16:], "ends inside token 0"),
        (GOOD[:-4] + struct.pack("<f", float("nan")), "token 260 has the score nan"),
        (GOOD[:-4] + struct.pack("<f", float("inf")), "token 260 has the score inf"),
        (GOOD[:21] + struct.pack("<f", 1.0) + GOOD[25:], "control tokens 0 to 3 must have the score"),
        (GOOD[: RECORD_4 + 4] + b"x" + GOOD[RECORD_4 + 5 :], "tokens 4 to 259 are not the 256 bytes"),
    ],
)
def test_a_damaged_file_is_one_clear_line(tmp_path, data, message):
    path = tmp_path / "vocab.bin"
    path.write_bytes(data)
    with pytest.raises(UserError, match=message) as error:
        Vocab.load(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_vocabulary_loads_from_inside_a_larger_file(tmp_path):
    path = tmp_path / "larger.bin"
    path.write_bytes(b"before" + GOOD + b"after")
    assert Vocab.load(path, offset=6).to_bytes() == GOOD
    assert Vocab.from_bytes(memoryview(GOOD + b"more")).to_bytes() == GOOD


def test_any_cut_or_changed_byte_loads_or_is_a_user_error():
    rng = random.Random(9)
    for _ in range(300):
        data = bytearray(GOOD)
        data[rng.randrange(len(data))] = rng.randrange(256)
        for damaged in (bytes(data), GOOD[: rng.randrange(len(GOOD))]):
            try:
                Vocab.from_bytes(damaged, "here")
            except UserError as error:
                assert str(error).startswith("here")


def test_a_file_that_cannot_be_read_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match=r"cannot read the vocabulary .*missing\.bin"):
        Vocab.load(tmp_path / "missing.bin")
    with pytest.raises(UserError, match="cannot read the vocabulary"):
        Vocab.load(tmp_path)


@examples
@given(texts=st.lists(ANY_BYTES, max_size=5))
def test_any_bytes_come_back_and_no_text_becomes_a_tag(vocab, texts):
    tags = {vocab.tag_id(tag) for tag in CHAT_TAGS}
    for text in texts:
        ids = vocab.encode_text(text)
        assert vocab.decode(ids) == vocab.decode(vocab.encode(text)) == text
        assert not tags.intersection(ids)
    assert [ids.tolist() for ids in vocab.encode_batch(texts)] == list(map(vocab.encode_text, texts))


@examples
@given(text=ANY_TEXT)
def test_any_text_comes_back(vocab, text):
    assert vocab.decode(vocab.encode(text)) == vocab.decode(vocab.encode_text(text)) == to_utf8(text)
    whole = "".join(character for character in text if not "\ud800" <= character <= "\udfff")
    assert vocab.decode(vocab.encode(whole)).decode() == whole


@examples
@given(learned=ANY_TOKENS, text=ANY_BYTES)
def test_any_text_comes_back_from_a_vocabulary_of_any_tokens(learned, text):
    written = byte_vocab(learned.keys(), learned.values())
    read = Vocab.from_bytes(written.to_bytes())
    assert (read.tokens, read.scores.tolist()) == (written.tokens, written.scores.tolist())
    text += b"".join(learned)
    assert read.decode(read.encode(text)) == read.decode(read.encode_text(text)) == text
