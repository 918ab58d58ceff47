"""Several sources: what is made of each, and of all together."""

from pathlib import Path
from typing import Any

import pytest
from runs import example_lines

from lai.data.origins import origins
from lai.data.prepare import prepare_corpus
from lai.host.errors import UserError


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    lines = example_lines(120)
    (tmp_path / "plain.txt").write_text("\n".join(lines[1::2]) + "\n", encoding="utf-8")
    (tmp_path / "chat.txt").write_text("\n".join(lines[0::2]) + "\n", encoding="utf-8")
    (tmp_path / "rows.csv").write_text("body;other\nkutya és macska;1\nló és tehén;2\n", encoding="utf-8")
    return tmp_path


def prepare(compose_run: Any, folder: Path, sources: str, *overrides: str) -> tuple[Any, Any]:
    data = compose_run("data=text", f"data.sources={sources.replace('@', f'{folder}/')}", *overrides).data
    data.cache_dir = str(folder / "cache")
    return data, prepare_corpus(data)


MIX = "{plain: {path: @plain.txt, weight: 3}, chat: {path: @chat.txt, weight: 1}}"


def made(folder: Path) -> dict[str, float]:
    files = (folder / "cache").rglob("*")
    return {str(file): file.stat().st_mtime_ns for file in files if file.suffix in (".bin", ".idx")}


def test_a_changed_weight_name_or_order_makes_nothing_anew(compose_run, texts) -> None:
    _, first = prepare(compose_run, texts, MIX)
    before = made(texts)
    _, other = prepare(compose_run, texts, "{chat: {path: @chat.txt, weight: 8}, p: {path: @plain.txt, weight: 1}}")
    assert made(texts) == before
    assert other.vocab_path == first.vocab_path
    folders = [{source.token_files.folder for source in corpus.sources} for corpus in (first, other)]
    assert folders[0] == folders[1]


def test_one_source_is_the_same_text_as_a_path(compose_run, texts) -> None:
    data = compose_run("data=text", f"data.path={texts / 'plain.txt'}").data
    data.cache_dir = str(texts / "cache")
    single = prepare_corpus(data)
    _, mixed = prepare(compose_run, texts, "{plain: {path: @plain.txt}}")
    assert (mixed.vocab_path, mixed.sources[0].token_files.folder) == (single.vocab_path, single.token_files.folder)
    assert mixed.token_files.stats == single.token_files.stats
    assert mixed.token_files.train.offsets.tolist() == single.token_files.train.offsets.tolist()
    assert mixed.quality.facts["documents"] == single.quality.facts["documents"]


def test_all_sources_are_counted_as_one_text(compose_run, texts) -> None:
    _, corpus = prepare(compose_run, texts, MIX)
    parts = [source.token_files.stats for source in corpus.sources]
    assert corpus.token_files.stats.documents == sum(part.documents for part in parts) == 120
    assert len(corpus.token_files.train) == sum(part.train.documents for part in parts)
    assert corpus.token_files.stats.train.turns == 1
    assert corpus.quality.facts["documents"] == 120
    assert corpus.quality.facts["formats"] == {"text": 2}
    assert sum(corpus.quality.facts["tasks"].values()) == pytest.approx(1)
    checks = {finding.check for finding in corpus.quality.findings}
    assert {"plain: unique", "chat: unique"} <= checks


def test_each_source_has_its_own_settings_of_rows_and_files_to_validate_with(compose_run, texts) -> None:
    sources = "{rows: {path: @rows.csv, columns: {text: body}, val_path: @chat.txt}, chat: {path: @chat.txt}}"
    _, corpus = prepare(compose_run, texts, sources)
    rows, chat = corpus.sources
    assert (rows.token_files.stats.train.documents, rows.token_files.stats.val.documents) == (2, 60)
    assert chat.token_files.stats.val.documents < 20
    assert len(rows.languages) == 60


def test_generated_text_is_a_source(compose_run, texts) -> None:
    made_text = "made: {synthetic: {sentences: 30, stories: 0, translations: 0, instructions: 0}, language: hu}"
    data, corpus = prepare(compose_run, texts, f"{{{made_text}, plain: {{path: @plain.txt, licence: CC0}}}}")
    made_source, plain = corpus.sources
    assert made_source.floor.loss > 0 and plain.floor is None
    assert set(made_source.languages.tolist()) == {0}
    entries = origins(data, corpus)
    assert [(entry["source"], entry["weight"]) for entry in entries["data"]] == [("made", None), ("plain", None)]
    assert [entry["licence"] for entry in entries["data"]] == [
        "Apache-2.0, as LAi, whose generator has written it",
        "CC0",
    ]
    assert [entry["source"] for entry in entries["validation"]] == ["made"]


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ("{a: {path: @none.txt}}", r"^data\.sources\.a: .*none\.txt does not exist"),
        ("{a: {path: @plain.txt}, b: {path: @rows.csv}}", r"^data\.sources\.b: .*rows\.csv"),
        ("{a: {path: @plain.txt, val_path: @plain.txt}}", r"^data\.sources\.a: .*nothing is left to train on"),
    ],
)
def test_a_source_that_cannot_be_read_is_named(compose_run, texts, sources, message) -> None:
    with pytest.raises(UserError, match=message):
        prepare(compose_run, texts, sources)
