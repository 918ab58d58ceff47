"""The engine's encoder against a literal implementation of the encoding steps, and against Python on real text."""

import itertools

import pytest
from engine_program import LEARNED, make_vocab, random_network
from naive_steps import NaiveEncoder, odd_texts

from lai.export.lai_file import write_model
from lai.model.transformer import ModelConfig
from lai.tokenizer.bpe import NEVER
from lai.tokenizer.chat import CHAT_TAGS
from lai.tokenizer.train import learn_vocab
from lai.tokenizer.vocab import TAG_PREFIXES, Vocab


def write_vocab(path, vocab):
    config = ModelConfig(
        dim=4, hidden_dim=4, n_layers=1, n_heads=1, n_kv_heads=1, vocab_size=len(vocab), max_seq_len=64
    )
    write_model(path, config, random_network(config).state_dict(), vocab)
    return path


def encode_lines(engine, path, lines):
    output = engine.output("-m", path, "--tokenize-lines", "-", stdin=b"\n".join(lines) + b"\n")
    return [[int(word) for word in line.split()] for line in output.decode().split("\n")[:-1]]


def naive(vocab, without=()):
    return NaiveEncoder(vocab.tokens, vocab.scores.tolist(), without)


@pytest.fixture(scope="module")
def foreign_vocab():
    """A vocabulary of another program: duplicates, ties, tokens never produced, invalid UTF-8, an empty token."""
    extra = [b"a", b"aa", b"aa", b"ab", b"ba", b"aaa", b"l", b"ll", b"\xff\xfe", b"\xc3a", b"", b"\xf0\x9f\x98\x80\x80"]
    scores = [-3, -1, -2, -1, -1, NEVER, -5, -1e20, -4, -4, -1, -2]
    base = make_vocab(LEARNED)
    return Vocab([*base.tokens, *extra], [*base.scores.tolist(), *scores])


@pytest.mark.parametrize("kind", ["ordinary", "foreign"])
def test_ids_follow_the_encoding_steps(engine, tmp_path, vocab, foreign_vocab, kind):
    tokens = vocab if kind == "ordinary" else foreign_vocab
    words = [token for token in tokens.tokens[260:] if token] + [b"Hello", b"aaaaaaa", b"abab"]
    texts = [text.replace(b"\n", b"\r") for text in odd_texts(4000, words)]
    encode = naive(tokens)
    assert encode_lines(engine, write_vocab(tmp_path / "m.bin", tokens), texts) == [encode(text) for text in texts]


def test_literal_text_never_becomes_a_tag(engine, tmp_path, foreign_vocab):
    path = write_vocab(tmp_path / "m.bin", foreign_vocab)
    vocab = foreign_vocab
    encode = naive(vocab, without={*CHAT_TAGS, *TAG_PREFIXES})
    texts = [b"".join(parts) for parts in itertools.permutations((b"<user>", b"</user", b">", b"hello\n", b"<"), 3)]
    for text in texts[::4]:
        turn = [
            vocab.tag_id(b"<user>"),
            *encode(text.strip(b"\n")),
            vocab.tag_id(b"</user>"),
            vocab.tag_id(b"<assistant>"),
        ]
        assert engine.json("-m", path, "-p", text, "--tokens", "0")["prompt_ids"] == [Vocab.BOS, *turn]


def test_prompts_are_encoded_as_in_training(engine, make_model):
    path, model = make_model()
    user, user_end, assistant = (model.vocab.tag_id(tag) for tag in (b"<user>", b"</user>", b"<assistant>"))
    for option, request in (("-p", ""), ("-t", "Translate to Hungarian: "), ("--to-en", "Translate to English: ")):
        ids = engine.json("-m", path, option, "a </user> <b>", "--tokens", "0")["prompt_ids"]
        typed = model.vocab.encode_text(request + "a </user> <b>")
        assert ids == [Vocab.BOS, user, *typed, user_end, assistant]
    raw = engine.json("-m", path, "--raw", "-p", "a </user> <b>", "--tokens", "0")["prompt_ids"]
    assert raw == [Vocab.BOS, *model.vocab.encode("a </user> <b>")]
    assert user_end in raw


def test_ids_equal_those_of_python_on_real_text(engine, tmp_path, shared_data):
    lines = []
    for name in ("mono.hu.txt", "stories.en.txt", "parallel.tsv"):
        with (shared_data / name).open("rb") as file:
            lines += [line.rstrip(b"\n") for line in itertools.islice(file, 1500)]
    vocab = learn_vocab(lines[::3], 1000)
    found = encode_lines(engine, write_vocab(tmp_path / "m.bin", vocab), lines)
    assert found == [vocab.encode(line) for line in lines]


def test_a_line_of_a_megabyte_is_encoded_in_time(engine, tmp_path, vocab):
    # A quadratic encoder would take hours; the program has two minutes.
    path = write_vocab(tmp_path / "m.bin", vocab)
    text = b"aaaa hello " * 100_000
    (ids,) = encode_lines(engine, path, [text])
    assert vocab.decode(ids) == text
    assert ids[:1000] == naive(vocab)(text[:4000])[:1000]


def test_tokenize_and_detokenize_are_inverse(engine, make_model):
    path, model = make_model()
    text = "hello \n<user>ő\u0301 🙂\n".encode() + b"\xff\xc3"
    ids = engine.json("-m", path, "--tokenize", text)["ids"]
    assert ids == model.vocab.encode(text)
    listed = " ".join(map(str, ids))
    assert engine.output("-m", path, "--tokenize", text).decode() == listed + "\n"
    assert engine.output("-m", path, "--detokenize", listed) == text
    assert engine.output("-m", path, "--detokenize", "0 1 101 2 3") == b"a"
    assert engine.output("-m", path, "--detokenize", " 101\t\n101 \r\f\v101\n") == b"aaa"
    assert engine.output("-m", path, "--detokenize", " \n") == b""
    assert engine.output("-m", path, "--tokenize", "") == b"\n"
    assert engine.json("-m", path, "--detokenize", listed)["text"] == text.decode(errors="replace")
    for wrong in ("-1", "+1", "4x", str(len(model.vocab)), "99999999999999999999"):
        assert f"'{wrong}'" in engine.error("-m", path, "--detokenize", wrong)
