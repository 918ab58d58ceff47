"""Which targets count with `data.loss_on=answers`, against documents that are put together turn by turn."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_answers import mixed_documents, truth, write_documents
from toy_network import network

from lai.data.datamodule import CorpusDataModule
from lai.data.tokens import answers as answers_module
from lai.data.tokens.answers import Answers, count_targets
from lai.data.tokens.batches import PackedDataset
from lai.data.tokens.token_file import TokenFile
from lai.model.transformer import ModelConfig
from lai.tokenizer.chat import Document, Turn, plain
from lai.tokenizer.targets import IGNORE_INDEX
from lai.tokenizer.vocab import Vocab


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    return mixed_documents(120)


@pytest.fixture(scope="module")
def file(documents: list[Document], small_vocab: Vocab, tmp_path_factory: pytest.TempPathFactory) -> TokenFile:
    return write_documents(tmp_path_factory.mktemp("answers") / "x.bin", documents, small_vocab)


@pytest.fixture(scope="module")
def flags(documents: list[Document], small_vocab: Vocab, file: TokenFile) -> list[list[tuple[int, bool]]]:
    """Of each document each token, and whether it counts."""
    found = [truth(document, small_vocab) for document in documents]
    for number, expected in enumerate(found):
        assert file.document(number).tolist() == [token for token, _ in expected]
    return found


def counted(batch: dict[str, torch.Tensor]) -> int:
    return int((batch["targets"] != IGNORE_INDEX).sum())


def test_an_answer_and_its_end_tag_count_by_hand(tmp_path: Path, small_vocab: Vocab) -> None:
    chat = (Turn("user", b"A"), Turn("assistant", b"BC"), Turn("user", b"D"), Turn("assistant", b""))
    file = write_documents(tmp_path / "x.bin", [chat, plain(b"<assistant>B"), (Turn("user", b"A"),)], small_vocab)
    rows = [np.array([[number, 0, len(file.document(number)) - 1]]) for number in range(3)]
    batch = PackedDataset(file, 24, Answers.of(small_vocab))[rows]
    names = dict(enumerate(small_vocab.tokens))
    shown = [[names[target] for target in targets if target != IGNORE_INDEX] for targets in batch["targets"].tolist()]
    assert shown[0] == [b"B", b"C", b"</assistant>", b"</assistant>"]
    assert b"".join(shown[1]) == b"<assistant>B<eos>" and len(shown[1]) > 3  # letters, not the tag
    assert shown[2] == []


def test_a_piece_that_begins_anywhere_counts_as_in_the_whole_document(file, flags, small_vocab: Vocab) -> None:
    drawn, dataset = random.Random(1), PackedDataset(file, 2000, Answers.of(small_vocab))
    for _ in range(60):
        pieces = []
        for number in drawn.choices(range(len(file)), k=4):
            first = drawn.randrange(len(flags[number]) - 1)
            pieces.append((number, first, drawn.randint(1, len(flags[number]) - 1 - first)))
        rows = [np.array([piece]) for piece in pieces]
        for (number, first, size), targets in zip(pieces, dataset[rows]["targets"].tolist(), strict=True):
            expected = [token if counts else IGNORE_INDEX for token, counts in flags[number][first + 1 :][:size]]
            assert targets == expected + [IGNORE_INDEX] * (2000 - size)


@pytest.mark.parametrize("seq_len", [7, 64, 512])
def test_an_epoch_has_each_target_that_counts_once(file, flags, small_vocab: Vocab, seq_len: int) -> None:
    data = CorpusDataModule(file, file, seq_len=seq_len, batch_size=3, seed=1, answers=Answers.of(small_vocab))
    plain_data = CorpusDataModule(file, file, seq_len=seq_len, batch_size=3, seed=1)
    expected = Counter(token for document in flags for token, counts in document if counts)
    for loader, other in (
        (data.train_dataloader(), plain_data.train_dataloader()),
        (data.val_dataloader(), plain_data.val_dataloader()),
    ):
        found: Counter[int] = Counter()
        for batch, whole in zip(loader, other, strict=True):
            found.update(batch["targets"][batch["targets"] != IGNORE_INDEX].tolist())
            assert torch.equal(batch["tokens"], whole["tokens"])
            assert torch.equal(batch["documents"], whole["documents"])
        assert found == expected


def test_packed_and_padded_batches_have_equal_sums_and_counts(file, flags, small_vocab: Vocab) -> None:
    model = network(
        ModelConfig(
            dim=32, hidden_dim=48, n_layers=2, n_heads=2, n_kv_heads=1, vocab_size=len(small_vocab), max_seq_len=256
        )
    )
    short = [number for number, document in enumerate(flags) if len(document) <= 256]
    dataset = PackedDataset(file, 256, Answers.of(small_vocab))
    pieces = [np.array([number, 0, len(flags[number]) - 1]) for number in short]
    packed, row = [], []
    for piece in pieces:
        if sum(one[2] for one in row) + piece[2] > 256:
            packed.append(np.array(row))
            row = []
        row.append(piece)
    packed.append(np.array(row))
    totals = {}
    with torch.no_grad():
        for name, rows in (("padded", [np.array([piece]) for piece in pieces]), ("packed", packed)):
            batch = dataset[rows]
            total = model(batch["tokens"], batch["documents"], targets=batch["targets"])
            totals[name] = (float(total), counted(batch))
    assert len(packed) < len(pieces) / 4
    assert totals["packed"][1] == totals["padded"][1] == sum(flag for number in short for _, flag in flags[number])
    assert totals["packed"][0] == pytest.approx(totals["padded"][0], rel=1e-5)


@pytest.mark.parametrize("block", [1 << 20, 100, 3])
def test_the_targets_of_a_file_are_counted(file, flags, small_vocab: Vocab, monkeypatch, block: int) -> None:
    monkeypatch.setattr(answers_module, "_BLOCK", block)
    found = count_targets(file, Answers.of(small_vocab))
    assert found.targets == sum(len(document) - 1 for document in flags)
    assert found.counting == sum(counts for document in flags for _, counts in document)
    assert 0 < found.share < 1


def test_a_worker_process_masks_alike(file, small_vocab: Vocab) -> None:
    settings = {"seq_len": 32, "batch_size": 4, "seed": 1, "answers": Answers.of(small_vocab)}
    alone, with_worker = (
        [batch["targets"] for batch in CorpusDataModule(file, file, **settings, num_workers=n).train_dataloader()]
        for n in (0, 1)
    )
    assert all(torch.equal(one, other) for one, other in zip(alone, with_worker, strict=True))
