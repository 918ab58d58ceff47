"""Facts of small texts, counted by hand."""

from pathlib import Path

import pytest
from toy_quality import GOOD, findings, write

from lai.data.quality.findings import Finding
from lai.data.quality.report import examine
from lai.data.sources.files import read_documents
from lai.tokenizer.train import learn_vocab


def test_facts_of_a_small_text(tmp_path: Path) -> None:
    report = examine([write(tmp_path / "a.txt", [*GOOD, b"", b"  ", GOOD[1]])])
    facts = report.facts
    assert (facts["lines"], facts["documents"], facts["empty"], facts["duplicates"]) == (9, 7, 2, 1)
    assert facts["unique"] == pytest.approx(6 / 7)
    texts = [*GOOD, GOOD[1]]
    assert facts["bytes"] == sum(map(len, texts)) and facts["characters"] == sum(len(text.decode()) for text in texts)
    assert facts["longest"] == max(len(text.decode()) for text in texts)
    assert {name: round(share * 7) for name, share in facts["tasks"].items()} == {
        "plain": 3, "translation": 1, "question": 1, "instruction": 1, "conversation": 1,
    }  # fmt: skip
    assert report.facts["sampled"] == 1 and sum(report.lengths) == 7
    assert findings(report)["unique"].places == [f"{tmp_path / 'a.txt'}:9"]
    # Far too little text is an error, as the guide has it.
    assert findings(report)["documents"] == Finding("documents", "error", "7", "at least 20,000")
    assert not report.good


def test_facts_about_tokens_are_those_of_the_vocabulary(tmp_path: Path) -> None:
    vocab = learn_vocab([line for line in GOOD if b"<" not in line], vocab_size=330, min_freq=1)
    path = write(tmp_path / "a.txt", GOOD)
    report = examine([path], vocab)
    contents = [turn.content for document in read_documents(path) for turn in document]
    ids = [index for content in contents for index in vocab.encode_text(content)]
    tokens = report.facts["tokens"]
    assert tokens["tokens"] == len(ids)
    assert tokens["bytes_per_token"] == pytest.approx(sum(map(len, contents)) / len(ids))
    assert tokens["byte_fallback"] == pytest.approx(sum(4 <= index < 260 for index in ids) / len(ids))
    learned = [index for index in range(260, len(vocab)) if not vocab.tokens[index].startswith(b"<")]
    assert tokens["never_used"] == len(set(learned) - set(ids))
    found = findings(report)["vocabulary"]
    assert (found.verdict, found.found) == ("warning", f"{len(vocab)} tokens")
