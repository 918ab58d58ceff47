"""The documents of both splits: which belong where, what is in the files, and what the statistics count."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from toy_documents import lines
from toy_token_files import content, prepare, texts

from lai.data.sources.reading import Reading
from lai.data.tokens.build import TokenFiles, prepare_token_files
from lai.host.errors import UserError
from lai.tokenizer.chat import parse, split_key
from lai.tokenizer.vocab import Vocab


def test_validation_files_are_the_validation_split(tmp_path: Path, text: Path, vocab: Vocab) -> None:
    val = tmp_path / "val.txt"
    val.write_bytes(b"\n".join(lines(50, seed=1)))

    def build() -> TokenFiles:
        return prepare_token_files(text, vocab, tmp_path / "cache", val_fraction=0.2, split_seed=0, val_paths=val)

    token_files = build()
    assert texts(token_files.val, vocab) == lines(50, seed=1)
    assert texts(token_files.train, vocab) == [line for line in text.read_bytes().split(b"\n") if line]
    assert build().folder == token_files.folder != prepare(text, vocab).folder
    val.write_bytes(b"\n".join(lines(49, seed=1)))
    assert len(build().val) == 49
    val.write_bytes(b"\n\n")
    with pytest.raises(UserError, match=r"val\.txt .*holds no document"):
        build()


def test_normalized_text_is_folded_in_both_splits(tmp_path: Path, vocab: Vocab, builds: list[Path]) -> None:
    text, val = tmp_path / "text.txt", tmp_path / "val.txt"
    typed = "<user>a\u00a0lo\u0301 „fa” </user><assistant>egy  kis–fa</assistant>"
    text.write_text(f"\ufeff\u00a0\n\u200b\n{typed}\nthe\u00addog\na dog\n", encoding="utf-8")
    val.write_text("\u2009sze\u0301p\u2028fa\n\u00ad\n", encoding="utf-8")

    def build(normalize: bool) -> TokenFiles:
        return prepare_token_files(
            text,
            vocab,
            tmp_path / "cache",
            val_fraction=0.2,
            split_seed=0,
            val_paths=val,
            reading=Reading(normalize=normalize),
        )

    folded = build(normalize=True)
    expected = ['<user>a ló "fa"</user><assistant>egy kis-fa</assistant>', "thedog", "a dog"]
    assert [found.decode() for found in texts(folded.train, vocab)] == expected
    assert [found.decode() for found in texts(folded.val, vocab)] == ["szép\nfa"]
    assert folded.stats.train.documents == 3
    assert folded.stats.train.bytes == sum(len(document.encode()) for document in expected)
    unfolded = build(normalize=False)
    assert texts(unfolded.train, vocab)[1] == "\u200b".encode() and unfolded.folder != folded.folder
    build(normalize=True)
    assert len(builds) == 2


def test_forms_of_one_document_lie_on_one_side(tmp_path: Path, vocab: Vocab) -> None:
    text = tmp_path / "text.txt"
    forms = ("lo\u0301 {}", "ló\u00a0{}", "\ufeffló {}", "ló {} ")
    text.write_text("".join(form.format(n) + "\n" for n in range(100) for form in forms), encoding="utf-8")
    files = prepare_token_files(
        text, vocab, tmp_path / "cache", val_fraction=0.3, split_seed=0, reading=Reading(normalize=True)
    )
    train, val = set(texts(files.train, vocab)), set(texts(files.val, vocab))
    assert len(train) + len(val) == 100 and not train & val


def test_folded_text_makes_the_same_token_files_normalized_or_not(text: Path, vocab: Vocab) -> None:
    plain = prepare(text, vocab)
    folded = prepare_token_files(
        text, vocab, text.parent / "cache", val_fraction=0.2, split_seed=0, reading=Reading(normalize=True)
    )
    assert folded.folder != plain.folder and folded.stats == plain.stats
    for name in ("train.bin", "train.idx", "val.bin", "val.idx"):
        assert content(folded)[name] == content(plain)[name]


def test_files_hold_every_document_and_the_statistics_count_them(text: Path, vocab: Vocab) -> None:
    token_files = prepare(text, vocab)
    expected = [line for line in text.read_bytes().split(b"\n") if line]
    train, val = texts(token_files.train, vocab), texts(token_files.val, vocab)
    assert Counter(train + val) == Counter(expected)
    assert not set(train) & set(val)
    stats = token_files.stats
    assert stats.documents == 402 > len(set(expected)) + 1
    for split, found, file in ((stats.train, train, token_files.train), (stats.val, val, token_files.val)):
        assert (split.documents, split.bytes) == (len(found), sum(map(len, found)))
        assert 2 * split.tokens == file.path.stat().st_size == 2 * int(file.offsets[-1])
        tokens = np.fromfile(file.path, "uint16")
        assert split.bytes == int(vocab.byte_lengths[tokens].sum())
    assert token_files.train.document(0).dtype == "uint16"


@pytest.mark.parametrize(
    ("conversations", "turns"),
    [
        ({}, 0),
        ({1: 50}, 1),
        ({1: 398, 8: 2}, 8),  # one in 200 has eight
        ({1: 399, 8: 1}, 1),
        ({1: 300, 3: 60, 5: 1, 8: 1}, 5),
    ],
)
def test_the_turns_of_the_training_text_are_those_that_enough_documents_have(
    tmp_path: Path, vocab: Vocab, conversations: dict[int, int], turns: int
) -> None:
    exchange = b"<user>a</user><assistant>fa</assistant>"
    rows = [
        b"<system>the %d</system>" % count + exchange * count
        for count, number in conversations.items()
        for _ in range(number)
    ]
    (tmp_path / "text.txt").write_bytes(b"\n".join([*rows, *[b"plain <user> text"] * 5000]))
    (tmp_path / "val.txt").write_bytes(exchange * 9)
    found = prepare_token_files(
        tmp_path / "text.txt",
        vocab,
        tmp_path / "cache",
        val_fraction=0.1,
        split_seed=0,
        val_paths=tmp_path / "val.txt",
    )
    assert (found.stats.train.turns, found.stats.val.turns) == (turns, 9)
    assert TokenFiles.open(found.folder).stats == found.stats


def test_the_split_depends_on_content_and_seed_alone(tmp_path: Path, vocab: Vocab) -> None:
    distinct = sorted(set(lines(2000)))

    def validation(documents: list[bytes], seed: int = 0) -> set[bytes]:
        path = tmp_path / "text.txt"
        path.write_bytes(b"\n".join(documents))
        return set(texts(prepare(path, vocab, 0.25, seed).val, vocab))

    whole = validation(distinct)
    assert 0.2 < len(whole) / len(distinct) < 0.3
    shuffled = random.Random(1).sample(distinct, len(distinct))
    assert validation(shuffled * 2) == whole
    half = shuffled[: len(shuffled) // 2]
    assert validation(half) == whole & set(half)
    assert validation(distinct, seed=1) != whole


def test_both_directions_of_a_pair_lie_on_one_side(tmp_path: Path, vocab: Vocab) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_bytes(b"".join(b"dog %d\tkutya %d\n" % (n, n) for n in range(200)))
    token_files = prepare(path, vocab)
    keys = [{split_key(parse(found)) for found in texts(file, vocab)} for file in (token_files.train, token_files.val)]
    assert len(keys[0]) + len(keys[1]) == 200 and not keys[0] & keys[1]
    assert token_files.stats.documents == 400


@pytest.mark.parametrize("fraction", [1e-9, 0.5, 1 - 1e-9])
@pytest.mark.parametrize("seed", range(4))
def test_neither_split_is_ever_empty(tmp_path: Path, vocab: Vocab, fraction: float, seed: int) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(b"dog\ntree\ndog\ntree")
    token_files = prepare(path, vocab, fraction, seed)
    sides = [set(texts(file, vocab)) for file in (token_files.train, token_files.val)]
    assert sorted(sides, key=min) == [{b"dog"}, {b"tree"}]
