"""lai.programs.clean_data as a user runs it."""

import subprocess
import sys
from pathlib import Path

from lai.data.sources.files import read_documents


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lai.programs.clean_data", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_text_is_mended_and_the_report_says_how_often(tmp_path: Path) -> None:
    text, output = tmp_path / "a.txt", tmp_path / "new.jsonl"
    text.write_text("Az õr ült.\nIt&apos;s here.\nfine\n", encoding="utf-8")
    done = run(text, "--output", output)
    assert done.returncode == 0, done.stderr
    assert "2 of 3 documents changed" in done.stdout and "HTML entities: 1" in done.stdout
    contents = [document[0].content.decode() for document in read_documents(output)]
    assert contents == ["Az őr ült.", "It's here.", "fine"]


def test_pairs_are_written_as_pairs_and_swapped_where_asked(tmp_path: Path) -> None:
    text, output = tmp_path / "a.tsv", tmp_path / "new.tsv"
    text.write_text("alma\tapple\nOK\tOK!\n", encoding="utf-8")
    assert run(text, "--output", output, "--swap").returncode == 0
    assert output.read_text(encoding="utf-8") == "apple\talma\nOK!\tOK\n"


def test_a_dry_run_writes_nothing_and_shows_ten_lines(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("".join(f"a &amp; {number}\n" for number in range(30)), encoding="utf-8")
    done = run(text, "--dry-run")
    assert done.returncode == 0 and done.stdout.count("  - a &amp; ") == 10 and done.stdout.count("  + a & ") == 10
    assert "30 of 30 documents changed" in done.stdout and list(tmp_path.iterdir()) == [text]


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("x\n")
    for arguments, words in (((text,), "--output is missing"), ((text, "--output", text), "one of the files to read")):
        done = run(*arguments)
        assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1
