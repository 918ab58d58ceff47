"""The tokens of a GGUF file: their texts, scores and types."""

import pytest
from toy_vocab import PREFIXES, chat_vocab

from lai.export.gguf_vocab import BYTE, CONTROL, NORMAL, UNKNOWN, UNUSED, gguf_tokens
from lai.host.errors import UserError
from lai.tokenizer.chat import CHAT_TAGS


def test_steps_of_tags_get_texts_that_never_occur(small_vocab):
    tokens = gguf_tokens(small_vocab)
    steps = [index for index, token in enumerate(small_vocab.tokens) if token in PREFIXES]
    assert len(steps) == len(PREFIXES)
    for index in steps:
        assert tokens[index] == (f"[unused_{index}]", -1e10, UNUSED)


def test_tags_and_control_tokens_are_control_tokens(small_vocab):
    tokens = gguf_tokens(small_vocab)
    assert [token.text for token in tokens[:4]] == ["<pad>", "<bos>", "<eos>", "<unk>"]
    assert [token.kind for token in tokens[:4]] == [CONTROL, CONTROL, CONTROL, UNKNOWN]
    for tag in CHAT_TAGS:
        assert tokens[small_vocab.tag_id(tag)] == (tag.decode(), -1e10, CONTROL)


def test_bytes_of_ascii_are_their_characters_and_the_space_is_the_word_mark(small_vocab):
    tokens = gguf_tokens(small_vocab)
    assert (tokens[36].text, tokens[36].kind) == ("\u2581", NORMAL)
    for byte in range(256):
        text, _, kind = tokens[4 + byte]
        if byte == 0 or byte >= 0x80:
            assert (text, kind) == (f"<0x{byte:02X}>", BYTE)
        elif byte != 0x20:
            assert (text, kind) == (chr(byte), NORMAL)


def test_learned_tokens_keep_their_scores_and_have_word_marks_for_spaces(small_vocab):
    learned = [token for token in small_vocab.tokens[260:] if token not in {*PREFIXES, *CHAT_TAGS}]
    for index, token in enumerate(learned, 260):
        text = token.decode().replace(" ", "\u2581")
        assert gguf_tokens(small_vocab)[index] == (text, small_vocab.scores[index], NORMAL)


def test_of_equal_tokens_the_last_one_is_used():
    vocab = chat_vocab(b"a", b"ab", b"ab", b"\xc3x")
    tokens = gguf_tokens(vocab)
    assert tokens[101].text == "[unused_101]" and tokens[260].text == "a"
    assert tokens[261].text == "[unused_261]" and tokens[262].text == "ab"
    assert tokens[263].kind == UNUSED  # no text has these bytes
    assert len({token.text for token in tokens}) == len(vocab)


def test_a_vocabulary_in_which_typing_would_give_a_tag_is_refused():
    with pytest.raises(UserError, match=r"the tokens '<' and 'user>', which other programs join to .*'<user>'"):
        gguf_tokens(chat_vocab(b"user>"))
