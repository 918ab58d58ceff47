"""How a batch is shown: names, bytes, marks, ends, padding."""

from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from toy_answers import mixed_documents, write_documents

from lai.data.batch_view import TokenNames, plain_lines, print_coloured, rows_of, summary
from lai.data.datamodule import CorpusDataModule
from lai.data.tokens.answers import Answers
from lai.data.tokens.batches import PackedDataset
from lai.tokenizer.chat import Turn, plain
from lai.tokenizer.targets import IGNORE_INDEX
from lai.tokenizer.vocab import Vocab


@pytest.fixture
def byte_vocab(small_vocab: Vocab) -> Vocab:
    """A vocabulary of bytes and tags."""
    tags = 4 + 256
    known = [number for number, score in enumerate(small_vocab.scores) if number < tags or score >= 1000]
    return Vocab([small_vocab.tokens[number] for number in known], small_vocab.scores[known])


def view(path: Path, documents, vocab: Vocab, plan, answers: bool):
    file = write_documents(path / "x.bin", documents, vocab)
    plan = [np.array(row, np.int64).reshape(-1, 3) for row in plan]
    dataset = PackedDataset(file, 16, Answers.of(vocab) if answers else None)
    return rows_of(dataset[plan], plan, np.diff(file.offsets).astype(np.int64) - 1)


def test_the_plain_form_word_by_word(tmp_path: Path, byte_vocab: Vocab) -> None:
    documents = [(Turn("user", b"a|"), Turn("assistant", "ő\n".encode())), plain(b"x")]
    plan = [[(0, 0, 10), (1, 0, 2)], [(0, 5, 3)], []]
    rows = view(tmp_path, documents, byte_vocab, plan, answers=True)
    assert list(plain_lines(rows, TokenNames(byte_vocab))) == [
        "row 1",
        r"  document 0: <bos>|<user>|a|\||</user>|<assistant>|«\xC5|\x91|\n|</assistant>»",
        "  document 1: <bos>|«x|<eos>»",
        "  padding: 4",
        "row 2",
        r"  document 0, targets 6-8 of 10: <assistant>|«\xC5|\x91|\n»",
        "  padding: 13",
        "row 3",
        "  padding: 16",
    ]
    assert summary(rows) == "3 rows, 15 tokens, 68.8% padding, 9 targets count (60.0%), 2 documents, 1 of them cut"


def test_without_masks_all_but_the_first_token_count(tmp_path: Path, byte_vocab: Vocab) -> None:
    rows = view(tmp_path, [(Turn("user", b"a"), Turn("assistant", b"b"))], byte_vocab, [[(0, 0, 7)]], answers=False)
    assert list(plain_lines(rows, TokenNames(byte_vocab)))[1] == (
        "  document 0: <bos>|«<user>|a|</user>|<assistant>|b|</assistant>|<eos>»"
    )


def test_text_is_never_taken_for_a_mark_or_a_control_token(small_vocab: Vocab) -> None:
    learned = Vocab([*small_vocab.tokens, b"<eos>", "é«".encode(), b"\x1b[0m\xc5"], [*small_vocab.scores, 1, 2, 3])
    names, end = TokenNames(learned), len(learned)
    escapes = {sign: f"\\{sign}" for sign in "|«»"}
    shown = [names.shown(token, escapes) for token in (Vocab.EOS, end - 3, end - 2, end - 1)]
    assert shown == ["<eos>", r"\<eos>", r"é\«", r"\u001B[0m\xC5"]


def test_marks_are_the_targets_that_the_batch_counts(tmp_path: Path, small_vocab: Vocab) -> None:
    file = write_documents(tmp_path / "x.bin", mixed_documents(60), small_vocab)
    data = CorpusDataModule(file, file, seq_len=32, batch_size=4, seed=0, answers=Answers.of(small_vocab))
    lengths = np.diff(file.offsets).astype(np.int64) - 1
    for loader in (data.train_dataloader(), data.val_dataloader()):
        for plan, batch in zip(loader.sampler, loader, strict=True):
            for row, targets in zip(rows_of(batch, plan, lengths), batch["targets"].tolist(), strict=True):
                marked = [
                    token
                    for piece in row.pieces
                    for token, counts in zip(piece.tokens, piece.counts, strict=True)
                    if counts
                ]
                assert marked == [target for target in targets if target != IGNORE_INDEX]


def test_colours_alternate_and_what_does_not_count_is_dimmed(tmp_path: Path, byte_vocab: Vocab) -> None:
    rows = view(tmp_path, [plain(b"xy")], byte_vocab, [[(0, 0, 3)]], answers=True)
    output = StringIO()
    print_coloured(rows, TokenNames(byte_vocab), Console(file=output, force_terminal=True, color_system="standard"))
    line = output.getvalue().splitlines()[2]
    assert line == "\x1b[1;2;36m<bos>\x1b[0m\x1b[30;43mx\x1b[0m\x1b[30;46my\x1b[0m\x1b[1;30;43m<eos>\x1b[0m"
