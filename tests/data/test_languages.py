"""The language of documents to validate with."""

from pathlib import Path

import pytest
from toy_token_files import prepare

from lai.data.languages import languages_of
from lai.data.tokens.build import TokenFiles, prepare_token_files
from lai.tokenizer.vocab import Vocab

LINES = {
    "A kutya nagyon szereti a házat, és nem megy el.": 0,
    "The dog likes the house and does not go away.": 1,
    "<user>Hol van a kutya?</user><assistant>A kutya itt van, de nem eszik.</assistant>": 0,
    "<user>Where is the dog?</user><assistant>It is in the house.</assistant>": 1,
    "<user>Translate to Hungarian: Where is the dog now?</user><assistant>Hol van most az a kutya?</assistant>": -1,
    "Der Hund ist nicht hier und das Haus ist auch nicht hier.": -1,
    "12 34 56": -1,
}


@pytest.fixture
def files(tmp_path: Path, small_vocab: Vocab) -> TokenFiles:
    (tmp_path / "val.txt").write_text("\n".join(LINES) + "\n", encoding="utf-8")
    (tmp_path / "train.txt").write_text("A line.\n")
    return prepare_token_files(
        tmp_path / "train.txt",
        small_vocab,
        tmp_path / "cache",
        val_fraction=0.5,
        split_seed=0,
        val_paths=tmp_path / "val.txt",
    )


def test_a_document_is_in_the_one_language_of_its_turns(files: TokenFiles, tmp_path: Path, small_vocab: Vocab) -> None:
    found = languages_of(files, small_vocab, tmp_path / "cache")
    assert dict(zip(LINES, found.tolist(), strict=True)) == LINES


def test_a_known_language_is_that_of_all_documents(files: TokenFiles, tmp_path: Path, small_vocab: Vocab) -> None:
    assert languages_of(files, small_vocab, tmp_path / "none", "en").tolist() == [1] * len(LINES)
    assert not (tmp_path / "none").exists()


def test_languages_are_told_once_for_each_text(
    files: TokenFiles, tmp_path: Path, small_vocab: Vocab, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    expected = languages_of(files, small_vocab, cache).tolist()
    other = tmp_path / "other.txt"
    other.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    monkeypatch.setattr("lai.data.languages.identify", None)
    assert languages_of(files, small_vocab, cache).tolist() == expected
    with pytest.raises(TypeError):
        languages_of(prepare(other, small_vocab, 0.4), small_vocab, cache)
