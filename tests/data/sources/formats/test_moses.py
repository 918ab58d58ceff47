"""Moses' pairs of files."""

import gzip
from pathlib import Path

import pytest

from lai.data.sources.discovery import files_left_out, find_files
from lai.data.sources.files import read_documents
from lai.host.errors import UserError
from lai.tokenizer.chat import render

CASES = Path(__file__).resolve().parents[5] / "shared" / "cases"


@pytest.mark.parametrize(
    ("english", "hungarian"),
    [("x.en", "x.hu"), ("x.en.gz", "x.hu"), ("x.en", "x.hu.gz"), ("X.EN", "X.HU"), ("x.eng", "x.hun")],
)
def test_lines_of_two_files_are_pairs(read, pairs, counts, tmp_path: Path, english: str, hungarian: str) -> None:
    left, right = "\ufeffone\r\ntwo\r\n\r\nfour\nfive".encode(), "egy\nkettő\n\n \nöt\n\n".encode()
    (tmp_path / hungarian).write_bytes(gzip.compress(right) if hungarian.endswith("gz") else right)
    expected = pairs((1, "one", "egy"), (2, "two", "kettő"), (5, "five", "öt"))
    assert read(english, gzip.compress(left) if english.endswith("gz") else left) == expected
    assert (counts.empty, counts.skipped) == (1, 1)
    for path in (tmp_path, tmp_path / english, tmp_path / hungarian, tmp_path / "*", tmp_path / english[:3]):
        if path.exists() or "*" in path.name:
            assert {file.name for file in find_files(path)} == {english, hungarian}
            assert [render(document).decode() for document in read_documents(path)] == [text for _, text in expected]


@pytest.mark.parametrize(("longer", "shorter"), [("en", "hu"), ("hu", "en")])
def test_files_of_different_lengths_are_an_error(tmp_path: Path, longer: str, shorter: str) -> None:
    (tmp_path / f"x.{longer}").write_text("a\nb\nc\n")
    (tmp_path / f"x.{shorter}").write_text("a\nb\n")
    with pytest.raises(UserError, match=rf"different numbers of lines: .*x\.{longer} has more, from line 3"):
        list(read_documents(tmp_path))


def test_a_file_without_its_partner_is_an_error_and_is_left_out_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x.en").write_text("a\n")
    (tmp_path / "a.txt").write_text("a\n")
    with pytest.raises(UserError, match=r"x\.en has no partner; expected x\.hu beside it"):
        find_files(tmp_path / "x.en")
    assert find_files(tmp_path) == [tmp_path / "a.txt"]
    assert files_left_out(tmp_path) == {".en": 1}


@pytest.mark.skipif(not CASES.exists(), reason="shared/cases is not beside the checkout")
def test_the_shared_case_is_read_as_pairs() -> None:
    documents = [render(document).decode() for document in read_documents(CASES / "moses")]
    assert len(documents) == 20
    assert documents[3] == (
        "<user>Translate to English: Az őr a fűtőházban ült.</user>"
        "<assistant>The guard sat in the boiler house.</assistant>"
    )
