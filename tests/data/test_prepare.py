"""Which text is read, and how; what `data.normalize` changes."""

import json
from pathlib import Path
from typing import Any

import pytest

from lai.data.prepare import prepare_corpus, sample_text
from lai.data.quality.report import listed_formats
from lai.data.sources.reading import Reading
from lai.data.sources.streams import CorpusCounts
from lai.host.errors import UserError


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.hub.split=validation"], "data.hub.split is for a data set of your own"),
        (["data.hub.streaming=false"], "data.hub.streaming is for a data set of your own"),
        (["data.hub.name=org/set", "data.hub.rows={hu_wiki: 7}"], "data.hub.rows is for the known data sets"),
    ],
)
def test_settings_of_the_other_kind_are_refused(compose_run, overrides: list[str], message: str) -> None:
    run = compose_run("data=hub", *overrides)
    with pytest.raises(UserError, match=message):
        prepare_corpus(run.data)


def test_normalize_folds_what_vocabulary_and_token_files_are_made_of(compose_run, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("".join(f"„Kis alma\u0301t\u00a0eszik {n}”\n" for n in range(50)), encoding="utf-8")
    files = [text]
    assert " almát".encode() in sample_text(files, CorpusCounts(), Reading(normalize=True)).words()
    assert " alma\u0301t\u00a0eszik".encode() in sample_text(files, CorpusCounts()).words()
    settings = [f"data.path={text}", f"data.cache_dir={tmp_path / 'cache'}", "data.vocab_size=330"]
    folded = prepare_corpus(compose_run("data=text", *settings).data)
    unfolded = prepare_corpus(compose_run("data=text", *settings, "data.normalize=false").data)
    assert folded.vocab_path != unfolded.vocab_path
    assert folded.token_files.folder != unfolded.token_files.folder
    assert b"\xcc\x81" in unfolded.vocab.decode(unfolded.token_files.train.document(0).tolist())
    document = folded.vocab.decode(folded.token_files.train.document(0).tolist()).decode()
    assert document.startswith('"Kis almát eszik')
    assert b"\xcc\x81" in b"".join(unfolded.vocab.tokens[260:])
    assert b"\xcc\x81" not in b"".join(folded.vocab.tokens[260:])


@pytest.mark.parametrize("setting", ["data.columns={text: body}", "data.template='{text}'"])
def test_columns_of_files_are_refused_for_other_sources(compose_run, setting: str) -> None:
    with pytest.raises(UserError, match=r"is for data\.path; with data=hub it is data\.hub\.(columns|template)"):
        prepare_corpus(compose_run("data=hub", setting).data)


def prepare(compose_run: Any, tmp_path: Path, *overrides: str) -> Any:
    paths = (f"data.path={tmp_path / 'text'}", f"data.cache_dir={tmp_path / 'cache'}")
    return prepare_corpus(compose_run("data=text", *paths, "data.val_fraction=0.5", *overrides).data)


def test_a_folder_of_mixed_formats_is_prepared_and_its_faulty_rows_are_told(compose_run, tmp_path: Path) -> None:
    folder = tmp_path / "text"
    folder.mkdir()
    (folder / "a.csv").write_text("en,hu\ndog,kutya\ncat,macska\n1,2,3\n")
    (folder / "b.json").write_text(json.dumps([{"instruction": "Do.", "output": "Done."}]))
    (folder / "c.txt").write_text("A line.\n")
    (folder / "d.en").write_text("horse\n")
    (folder / "d.hu").write_text("ló\n")
    with pytest.raises(UserError, match=r"a\.csv:4: found 3 columns, expected 2: en, hu; data\.bad_rows=skip"):
        prepare(compose_run, tmp_path)
    corpus = prepare(compose_run, tmp_path, "data.bad_rows=skip")
    assert corpus.token_files.stats.documents == 8
    assert listed_formats(corpus.quality.facts) == (
        "CSV of pairs (1 file), JSON of Alpaca (1 file), text (1 file), Moses pairs (2 files)"
    )
    found = next(finding for finding in corpus.quality.findings if finding.check == "bad rows")
    assert (found.verdict, found.found) == ("warning", "1 left out")
    assert "a.csv:4 (found 3 columns, expected 2: en, hu)" in found.places[0]


def test_settings_of_rows_change_what_is_made(compose_run, tmp_path: Path) -> None:
    folder = tmp_path / "text"
    folder.mkdir()
    (folder / "a.csv").write_text("dog,kutya\ncat,macska\nhorse,ló\n")
    corpora = [
        prepare(compose_run, tmp_path, f"data.columns={{en: {english}, hu: {hungarian}}}")
        for english, hungarian in ((1, 2), (2, 1))
    ]
    assert [corpus.token_files.stats.documents for corpus in corpora] == [6, 6]
    assert corpora[0].token_files.folder != corpora[1].token_files.folder


def test_one_format_is_named_without_its_number() -> None:
    assert listed_formats({"formats": {"text": 1}}) == "text"
    assert listed_formats({"formats": {"text": 2}}) == "text (2 files)"
    assert listed_formats({"formats": {}}) == "none"
