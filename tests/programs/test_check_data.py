"""lai.programs.check_data as a user runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

from processes import shown_on_terminal

from lai.tokenizer.vocab import Vocab


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lai.programs.check_data", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_good_text_exits_with_0_and_its_lengths_are_drawn(tmp_path: Path, small_vocab: Vocab) -> None:
    text, vocab, picture = tmp_path / "a.txt", tmp_path / "vocab.bin", tmp_path / "new" / "lengths.png"
    text.write_text("".join(f"The dog number {number} is in the garden.\n" for number in range(20000)))
    small_vocab.save(vocab)
    done = run(text, "--vocab", vocab, "--histogram", picture)
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("20,000", "100.0% unique", "plain 100.0%", "en 100.0%", "bytes a token", "never used", "warning"):
        assert words in done.stdout, words
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_bad_text_exits_with_1_and_names_the_lines(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_bytes(b"good\n<user>open\n\xff\n")
    done = run(text)
    assert done.returncode == 1
    assert f"first malformed markup: {text}:2" in done.stdout and f"first invalid UTF-8: {text}:3" in done.stdout
    as_json = run(text, "--json")
    assert as_json.returncode == 1
    report = json.loads(as_json.stdout)
    assert not report["good"] and report["facts"]["documents"] == 3
    assert {finding["check"]: finding["verdict"] for finding in report["findings"]}["malformed markup"] == "error"


def test_findings_are_printed_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("<user>Q</user>\n<assistant>A</assistant>\n")
    for name in ("b.md", "c.md", "d.csv"):
        (tmp_path / name).write_text("x\n")
    done = run(tmp_path)
    assert done.returncode == 1 and f"first turns on several lines: {tmp_path / 'a.txt'}:1, " in done.stdout
    assert "what to do about turns on several lines: put a conversation on one line: awk " in done.stdout
    assert "what to do about other files: " in done.stdout and "incomplete 100.0%" in done.stdout
    found = {finding["check"]: finding for finding in json.loads(run(tmp_path, "--json").stdout)["findings"]}
    assert found["other files"]["found"] == "3 files of other kinds left out: 2 .md, 1 .csv"
    assert found["turns on several lines"]["remedy"].startswith("put a conversation on one line")


def test_wrong_arguments_exit_with_2_before_anything_is_read(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("x\n")
    for arguments, words in (
        (("--histogram", "x.jpg"), "ending .png"),
        (("--longest", "-5"), "-5 is not a whole number"),
    ):
        done = run(text, *arguments)
        assert done.returncode == 2 and words in done.stderr and not done.stdout


def test_a_file_name_that_is_not_utf_8_is_printed(tmp_path: Path) -> None:
    name = os.fsdecode(bytes(tmp_path) + b"/k\xf6nyv.txt")
    Path(name).write_text("same\nsame\n")
    for arguments in ((), ("--json",)):
        done = run(name, *arguments)
        assert done.returncode == 1 and "nyv.txt:2" in done.stdout, done.stderr


def test_a_missing_file_exits_with_2(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x\n")
    for arguments in ((), (tmp_path / "a.txt", "--json")):
        done = run(*arguments, tmp_path / "missing.txt")
        assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
        assert "missing.txt" in done.stderr


def test_formats_and_faulty_rows_are_named(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("q,a\nWhat?,That.\nWho?,He.\nodd\n")
    done = run(table)
    assert done.returncode == 2
    assert "found the columns 'q', 'a'; expected a header with text, messages, conversations (ShareGPT)" in done.stderr
    assert "data.columns={en: first, hu: second}" in done.stderr
    done = run(table, "--columns", "en=q", "hu=a", "--bad_rows", "skip")
    assert done.returncode == 1
    assert "CSV of rows as data.columns and data.template say" in done.stdout
    assert f"first bad rows: {table}:4 (found 1 column, expected 2: q, a)" in done.stdout
    assert "--columns en is no OURS=THEIRS" in run(table, "--columns", "en").stderr


def test_a_terminal_gets_no_control_sequences_of_a_file_name(tmp_path):
    path = tmp_path / "a\x1b]0;title\x07.txt"
    path.write_bytes(b"The dog \x01 runs.\n" * 5 + b"The cat sits.\n")
    shown = shown_on_terminal([sys.executable, "-m", "lai.programs.check_data", str(tmp_path)])
    assert "a\u241b]0;title\u2407.txt:1" in shown
    assert "\x1b]" not in shown and "\x07" not in shown  # rich's own colours are sequences, too
