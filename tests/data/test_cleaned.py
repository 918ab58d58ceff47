"""Cleaned files: every format, what is left out, and when a file is made again."""

import json
from pathlib import Path

import pytest

from lai.data.cleaned import cleaned_files
from lai.data.prepare import prepare_corpus
from lai.data.sources.reading import Reading


def cleaned(
    files: list[Path], tmp_path: Path, reading: Reading | None = None
) -> tuple[list[dict[str, str]], list[str]]:
    told: list[str] = []
    made = cleaned_files(files, tmp_path / "cache", told.append, reading or Reading())
    rows = [json.loads(line) for file in made for line in file.read_text(encoding="utf-8").splitlines()]
    return rows, told


def test_a_pair_of_files_is_one_file_that_depends_on_both(tmp_path: Path) -> None:
    english, hungarian = tmp_path / "x.en", tmp_path / "x.hu"
    english.write_text("Salt &amp; water.\n", encoding="utf-8")
    hungarian.write_text("Só és víz.\n", encoding="utf-8")
    rows, told = cleaned([english, hungarian], tmp_path)
    assert len(rows) == 2 and len(told) == 1
    assert "Salt & water." in json.dumps(rows) and "2 of 2 documents changed; HTML entities: 2" in told[0]
    hungarian.write_text("Víz és só.\n", encoding="utf-8")
    assert "Víz és só." in json.dumps(cleaned([english, hungarian], tmp_path)[0], ensure_ascii=False)


def test_rows_are_read_as_the_settings_say_and_bad_ones_are_named(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("title,body\n1,gyûrû és õsz\n2\n3,a szép kert\n4,a nagy ház\n", encoding="utf-8")
    rows, [told] = cleaned([table], tmp_path, Reading(columns={"text": "body"}, bad_rows="skip"))
    assert [row["text"] for row in rows] == ["gyűrű és ősz", "a szép kert", "a nagy ház"]
    assert "1 of 3 documents changed" in told and f"1 faulty rows are left out: {table}:3" in told


@pytest.mark.parametrize("clean", [True, False])
def test_data_clean_mends_what_is_trained_on(compose_run, tmp_path: Path, clean: bool) -> None:
    text = tmp_path / "text.txt"
    text.write_text("".join(f"A gyûrû és az õsz {number} éve volt.\n" for number in range(300)), encoding="utf-8")
    run = compose_run("data=text", f"data.path={text}", "data.vocab_size=400", f"data.clean={str(clean).lower()}")
    corpus = prepare_corpus(run.data)
    words = b" ".join(corpus.vocab.tokens).decode("utf-8", "replace")
    assert ("gyűrű" in words) == clean
    assert ("gyûrû" in words) != clean
