"""Encoding, against the three steps of docs/format.md written out naively."""

import random

import numpy as np
import pytest
from naive_steps import NaiveEncoder, odd_texts, split_characters
from toy_vocab import MARKUP, WORDS, byte_vocab

from lai.tokenizer import bpe
from lai.tokenizer.train import learn_vocab


def steps(vocab, without=()):
    return NaiveEncoder(vocab.tokens, vocab.scores.tolist(), without)


def test_generated_texts_encode_by_the_three_steps(vocab):
    naive = steps(vocab)
    for text in odd_texts(20_000, WORDS):
        assert vocab.encode(text) == naive(text)


def test_encode_text_never_encodes_markup_in_generated_texts(vocab):
    naive = steps(vocab, without=MARKUP)
    texts = odd_texts(20_000, WORDS, seed=2)
    expected = [naive(text) for text in texts]
    assert [vocab.encode_text(text) for text in texts] == expected
    assert [ids.tolist() for ids in vocab.encode_batch(texts)] == expected


@pytest.mark.parametrize("without", [frozenset(), frozenset(MARKUP)])
def test_many_new_words_at_once_encode_by_the_three_steps(vocab, without):
    texts = odd_texts(5000, WORDS, seed=3)
    encoder = bpe.Encoder(vocab.tokens, vocab.scores.tolist(), without)
    encoded = encoder.encode(texts)
    assert encoder._library is not None
    naive = steps(vocab, without)
    for text, ids in zip(texts, encoded, strict=True):
        assert ids.tolist() == naive(text)


@pytest.mark.parametrize("name", ["mono.en.txt", "mono.hu.txt", "parallel.tsv", "stories.hu.txt"])
def test_real_lines_encode_by_the_three_steps(name, shared_data):
    with (shared_data / name).open("rb") as file:
        lines = [file.readline().rstrip(b"\n") for _ in range(3000)]
    vocab = learn_vocab(lines[:2000], 2000)
    texts = [line[-120:] for line in lines]
    naive, naive_text = steps(vocab), steps(vocab, without=MARKUP)
    for text, ids in list(zip(texts, vocab.encode_batch(texts), strict=True))[::6]:
        assert ids.tolist() == naive_text(text)
        assert vocab.encode(text) == naive(text)


@pytest.mark.parametrize("seed", range(60))
def test_foreign_vocabularies_encode_by_the_three_steps(seed):
    rng = random.Random(seed)
    strange = [b"a", "é".encode(), "▁".encode(), b"<", b"\xc3", b"\x80", b"\n"]
    alphabet = rng.choice(([b"a", b"b"], [b"a", b"l", b" "], strange))
    extra = [b"".join(rng.choices(alphabet, k=rng.randrange(1, 6))) for _ in range(rng.randrange(1, 40))]
    extra += rng.sample([b"<u", b"<us", b" <", b"a<user>", b"", b"<eos>"], 3)
    scores = [rng.choice((-1.0, -2.0, -3.0, 0.5, -1e10, -2e10, rng.uniform(-9, 9))) for _ in extra]
    vocab = byte_vocab(extra, scores)
    naive, naive_text = steps(vocab), steps(vocab, without=MARKUP)
    texts = [b"".join(rng.choices(alphabet, k=rng.randrange(40))) for _ in range(150)] + odd_texts(100, WORDS, seed)
    for text in texts:
        assert vocab.encode(text) == naive(text)
        assert vocab.encode_text(text) == naive_text(text)
        assert vocab.decode(vocab.encode(text)) == text


@pytest.mark.parametrize("seed", range(10))
def test_foreign_vocabularies_within_words_encode_many_words_by_the_three_steps(seed):
    rng = random.Random(seed)
    letters = [b"a", b"b", b"l", "é".encode(), "▁".encode(), "😀".encode()]
    extra = [rng.choice((b"", b" ")) + b"".join(rng.choices(letters, k=rng.randrange(1, 5))) for _ in range(300)]
    vocab = byte_vocab(extra, [float(rng.randrange(-5, 0)) for _ in extra])
    naive = steps(vocab)
    texts = [b"".join(rng.choices([*letters, b" "], (5, 5, 5, 5, 1, 5, 4), k=300)) for _ in range(50)]
    for text, ids in zip(texts, vocab.encode_batch(texts), strict=True):
        assert ids.tolist() == naive(text)
    assert vocab._text_encoder._library is not None


def test_equal_scores_merge_from_the_left():
    vocab = byte_vocab([b"aa", b"ab", b"ba"], [-1.0, -1.0, -1.0])
    assert vocab.encode("aaa") == [260, 101]
    assert vocab.encode("aab") == [260, 102]
    assert vocab.encode("bab") == [262, 102]


def test_of_equal_tokens_the_best_score_merges_and_the_highest_id_is_given():
    vocab = byte_vocab([b"ab", b"bc", b"ab", b"ab", b"a"], [-1.0, -2.0, -3.0, -1e10, -5.0])
    assert vocab.encode("abc") == [262, 103]
    assert vocab.encode("a") == [264]


def test_a_long_run_and_a_long_word_encode_exactly(vocab):
    for text in (b"a" * 1000, b" " * 1000, b"ab" * 500, "é".encode() * 500):
        assert vocab.encode(text) == steps(vocab)(text)
    long = b"aaaaaal" * 50_000
    assert vocab.decode(vocab.encode(long)) == long


def test_step_one_reads_lead_bytes():
    for text in odd_texts(3000, WORDS, seed=5):
        assert bpe.characters(text) == split_characters(text)
        assert b"".join(bpe.words(text)) == text


def test_long_words_have_the_ids_of_the_plain_algorithm(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(2)
    words = ["alma", "almafa", "kert", "őszi", "garden", "trees", "日本語"]
    prose = [" ".join(draw.choices(words, k=30)) for _ in range(300)]
    vocab = learn_vocab([text.encode() for text in prose], 700)
    encoder = bpe.Encoder(vocab.tokens, vocab.scores.tolist())
    naive = steps(vocab)
    monkeypatch.setattr(bpe, "_MIN_LONG_BYTES", 8)
    characters = [*"abcdefglmortőű日本語", "\u2581", "\x7f"]
    odd = [b"\xff", b"\xc3", b"\xe2\x96", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"]
    for length in (20, 300, 1000):
        for odds in (0, 0.02):
            word = b"".join(
                draw.choice(odd) if draw.random() < odds else draw.choice(characters).encode() for _ in range(length)
            )
            assert np.frombuffer(encoder.packed_ids(word), np.uint32).tolist() == naive(word)


def test_marked_texts_have_the_ids_of_each_text_with_the_marks_between() -> None:
    draw = random.Random(3)
    pieces = ["alma", " ", "  ", "ő", "\n", "<user>", "7", "fa", "."]
    texts = ["".join(draw.choices(pieces, k=draw.randint(0, 9))).encode() for _ in range(500)]
    vocab = learn_vocab(texts, 400)
    for extra in ([], [b"\xc3"], [b"\x01"], [b"cut \xe2\x82", b" next"]):
        given = [*texts, *extra, b"end"]
        between = [bytes([1]), *(bytes(draw.choice(([2, 1], [3], [3, 2]))) for _ in given)]
        marks = {1: 1, 2: 2, 3: 3}
        expected = list(between[0])
        for text, behind in zip(given, between[1:], strict=True):
            expected += [*vocab.encode_text(text), *behind]
        packed = vocab.encode_marked(given, between, marks)
        assert np.frombuffer(packed, np.uint32).tolist() == expected
        assert vocab.encode_text(b"\x01") == [5]
