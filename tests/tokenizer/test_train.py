import random
from collections import Counter

import numpy as np
import pytest
from naive_steps import NaiveEncoder, odd_texts, split_characters

from lai.host.errors import UserError
from lai.tokenizer import train as vocab_training
from lai.tokenizer.chat import CHAT_TAGS
from lai.tokenizer.train import learn_vocab, train_vocab

PREFIXES = {tag[:length] for tag in CHAT_TAGS for length in range(2, len(tag))}
MARKUP = {*CHAT_TAGS, *PREFIXES}
SYLLABLES = "ba be ka ko lo ma mé ni ó pő ra sa sze ta tű va zá gy ing the er un".encode().split()


def texts_of_words(count=600, seed=0, separator=b" "):
    """Texts of invented words, some common, most rare, as in a language."""
    rng = random.Random(seed)
    words = [b"".join(rng.choices(SYLLABLES, k=rng.randrange(1, 5))) for _ in range(800)]
    weights = [1 / rank for rank in range(1, 801)]
    return [separator.join(rng.choices(words, weights, k=rng.randrange(3, 15))) + b"." for _ in range(count)]


def learned_tokens(vocab):
    return [token for token in vocab.tokens[260:] if token not in MARKUP]


def assert_used_or_stepping_stone(vocab, texts, min_freq):
    naive = NaiveEncoder(vocab.tokens, vocab.scores.tolist(), without=MARKUP)
    uses = Counter(index for text in texts for index in naive(text))
    used = {vocab.tokens[index] for index, count in uses.items() if count >= min_freq}
    stepping_stones = {step for token in used for step in naive.merge(token)[1] + split_characters(token)}
    assert set(learned_tokens(vocab)) <= used | stepping_stones
    return used


@pytest.mark.parametrize("min_freq", [1, 2, 5, 30])
@pytest.mark.parametrize("vocab_size", [320, 600, 3000])
def test_every_token_is_used_often_enough_or_is_a_stepping_stone(vocab_size, min_freq):
    texts = texts_of_words()
    vocab, report = train_vocab(texts, vocab_size, min_freq)
    assert len(vocab) <= vocab_size
    used = assert_used_or_stepping_stone(vocab, texts, min_freq)
    learned = learned_tokens(vocab)
    assert report.learned == len(learned)
    assert report.unfilled == vocab_size - len(vocab)
    assert report.stepping_stones == len(set(learned) - used)


@pytest.mark.parametrize("vocab_size", [320, 330, 600, 3000])
def test_each_character_beyond_ascii_of_a_token_is_a_token(vocab_size):
    vocab, _ = train_vocab([*texts_of_words(), "nő nőtt nők – – 日本語 日本 日本".encode()], vocab_size, 2)
    for token in learned_tokens(vocab):
        assert {character for character in split_characters(token) if len(character) > 1} <= set(vocab.tokens)


def test_the_report_counts_the_text():
    texts = [*texts_of_words(50), "ő\t\n\xff".encode(), b"", b"\xff"]
    vocab, report = train_vocab(texts, 500)
    assert report.texts == len(texts)
    assert report.text_bytes == report.sample_bytes == sum(map(len, texts))
    assert report.sample_tokens == sum(len(vocab.encode_text(text)) for text in texts)
    assert report.bytes_per_token == report.sample_bytes / report.sample_tokens


def test_a_higher_min_freq_removes_tokens():
    sizes = [len(learn_vocab(texts_of_words(), 3000, min_freq)) for min_freq in (1, 3, 20)]
    assert sizes[0] > sizes[1] > sizes[2]


def test_the_same_texts_give_the_same_vocabulary_in_any_order():
    texts = texts_of_words() + odd_texts(300, [b"a", b"kutya"])
    first = learn_vocab(texts, 700)
    assert learn_vocab(iter(texts), 700).to_bytes() == first.to_bytes()
    assert learn_vocab(texts[::-1], 700).to_bytes() == first.to_bytes()


def test_tokens_stay_within_words_and_are_at_most_20_characters():
    twenty = "abcdefghijklmnopqrső".encode()
    long = [b" incomprehensibilities " + twenty, twenty + b"t", b"z" * 300, "ő".encode() * 90, b" " * 70 + b"x"]
    texts = texts_of_words() + [b" in the house \n\n\tof the  king, 1984 1984." for _ in range(40)] + long * 30
    vocab = learn_vocab(texts, 2000)
    learned = learned_tokens(vocab)
    assert max(len(token.decode()) for token in learned) == 20
    assert twenty in learned
    for token in learned:
        assert b" " not in token.lstrip(b" ")
        assert not token.startswith(b"  ") or not token.strip()
        assert len(token) > 1
        assert not any(character in token for character in b"\n\t0123456789")
    assert b"  " in learned
    assert b" the" in learned


def test_odd_characters_lose_no_text_and_are_no_part_of_tokens():
    # Each line has something that the trainer skips lines for or gives another meaning.
    odd = [part.encode() for part in ("\0", "\t", "\r", "\n", "▁", "▅", "\ufffd")] + [b"\xff", b"\xc3", b"\xed\xa0\x80"]
    texts = [b"kutyaugat" + part + "macskanyávog".encode() for part in odd] * 5
    vocab = learn_vocab(texts, 500)
    learned = learned_tokens(vocab)
    assert b"kutyaugat" in learned
    assert "macskanyávog".encode() in learned
    for token in learned:
        assert token.decode() == token.decode().translate(dict.fromkeys(map(ord, "\0\t\r\n▁▅\ufffd")))


def test_frequent_characters_beyond_ascii_are_tokens_and_rare_ones_bytes():
    texts = ["x日 x本 x日.語 ő- -ő 日-本".encode()] * 3 + ["😀".encode()]
    tokens = learn_vocab(texts, 500, min_freq=2).tokens
    assert "語".encode() in tokens
    assert "😀".encode() not in tokens


def test_markup_in_a_text_gives_no_token_that_holds_a_tag():
    texts = [b"he said <user> and </user> x<user>y <use <us <u </ <system>" for _ in range(50)]
    vocab = learn_vocab(texts, 600)
    assert len(set(vocab.tokens[260:])) == len(vocab) - 260
    for token in learned_tokens(vocab):
        assert not any(tag in token for tag in CHAT_TAGS)
    for text in (b"x<user>y", b" <user> <system></user>"):
        tags = [index for index in vocab.encode(text) if vocab.tokens[index] in CHAT_TAGS]
        assert len(tags) == text.count(b">")


def test_a_merge_learned_earlier_has_the_higher_score():
    vocab = learn_vocab([b"aaab aaab aaab aab ab ab ab ab"], 400)
    learned = learned_tokens(vocab)
    assert learned == vocab_tokens_by_score(vocab)[len(MARKUP) : len(MARKUP) + len(learned)]
    # By hand: "ab" occurs 8 times, more than any other pair; "aa" only inside of "aaab".
    assert learned[0] == b"ab"


def vocab_tokens_by_score(vocab):
    return [token for _, token in sorted(zip(-vocab.scores, vocab.tokens, strict=True))]


@pytest.mark.parametrize("texts", [[], [b""], [b"a"], [b" "], [b"\xff\xff"], [b"\n\n\n"], [b"1 2 3"], ["▁".encode()]])
def test_little_or_no_text_gives_the_tokens_that_every_vocabulary_has(texts):
    vocab, report = train_vocab(texts, 1000)
    assert len(vocab) == 260 + len(MARKUP)
    assert report.unfilled == 1000 - len(vocab)
    for text in texts:
        assert vocab.decode(vocab.encode(text)) == text


def test_impossible_sizes_are_one_clear_line():
    assert len(learn_vocab(texts_of_words(), 305)) == 305
    for size in (304, 0, -1, 1 << 30):
        with pytest.raises(UserError, match=f"vocab_size is {size}; it must be 305"):
            learn_vocab([], size)
    with pytest.raises(UserError, match="min_freq is 0"):
        learn_vocab([], 500, min_freq=0)


def test_text_beyond_the_limit_is_sampled_evenly(monkeypatch):
    monkeypatch.setattr(vocab_training, "SAMPLE_BYTES", 20_000)
    texts = texts_of_words(3000)
    vocab, report = train_vocab(iter(texts), 600)
    total = sum(map(len, texts))
    assert report.text_bytes == total > 100_000
    assert 5_000 < report.sample_bytes <= 20_000
    # The sample is every n-th text, so its tokens are used at least as often in all of the text.
    assert_used_or_stepping_stone(vocab, texts, 2)
    assert learn_vocab(texts, 600).to_bytes() == vocab.to_bytes()


def test_a_text_of_many_blocks_counts_as_if_it_were_one(monkeypatch):
    text = b" ".join(texts_of_words(300, separator=b"  \n")) + b"x" * 500
    whole = learn_vocab([text], 600)
    monkeypatch.setattr(vocab_training, "_BLOCK_BYTES", 100)
    vocab, report = train_vocab([text], 600)
    assert vocab.to_bytes() == whole.to_bytes()
    assert report.sample_bytes == len(text)


def test_split_characters_agree_with_unicode():
    text = "árvíztűrő 日本 😀"
    assert [character.decode() for character in split_characters(text.encode())] == list(text)


@pytest.mark.parametrize("seed", range(20))
def test_the_sample_of_many_blocks_at_once_is_that_of_one_after_another(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(vocab_training, "SAMPLE_BYTES", 500)
    draw = random.Random(seed)
    sizes = [draw.choice((1, 5, 20, 100, 700)) for _ in range(draw.randint(1, 400))]
    kept: list[tuple[int, int]] = []  # number and size of each block, as the definition says
    stride = 1
    for number, size in enumerate(sizes):
        if number % stride == 0:
            kept.append((number, size))
        if sum(size for _, size in kept) > 500 and len(kept) > 1:
            stride *= 2
            kept = kept[::2]
    texts = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    sample = vocab_training.Sample()
    start = 0
    while start < len(texts):
        part = texts[start : start + draw.randint(1, 60)]
        sample.add(vocab_training.Blocks(len(part), b"".join(part), np.array(list(map(len, part)))))
        start += len(part)
    assert sample._blocks == [texts[number] for number, _ in kept]
