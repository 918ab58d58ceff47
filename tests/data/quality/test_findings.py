"""Findings, against faults put in by hand."""

import shlex
import subprocess
import textwrap
from pathlib import Path

import pytest
from toy_quality import GOOD, findings, paragraphs, write

from lai.data.quality.findings import Finding
from lai.data.quality.report import examine
from lai.data.sources import chunks


def test_each_fault_is_found_at_its_line(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.txt",
        [
            b"good",
            b"a byte \xff that is no UTF-8",
            b"<user>never closed",
            b"a \x00 control character and \x7f another",
            b"x" * 300,
            "tab\tand ő are fine".encode(),
            b"good",
            b"good",
        ],
    )
    found = findings(examine([path], longest_line=200))
    for check, verdict, lines in (
        ("invalid UTF-8", "error", [2]),
        ("malformed markup", "error", [3]),
        ("control characters", "warning", [4]),
        ("long documents", "warning", [5]),
        ("unique", "ok", [7, 8]),
    ):
        assert found[check].verdict == verdict, check
        assert found[check].places == [f"{path}:{line}" for line in lines], check
    assert found["invalid UTF-8"].found == "1"


def joined_by_its_remedy(finding: Finding, path: Path, target: Path) -> list[str]:
    """The lines that the command in a finding makes of a file."""
    command = finding.remedy.partition(": ")[2]
    command = command.replace("FILE", shlex.quote(str(path))).replace("NEW.txt", "NEW").replace("NEW", str(target))
    subprocess.run(command, shell=True, check=True)
    return [line.strip() for line in target.read_bytes().decode().split("\n") if line.strip()]


@pytest.mark.parametrize("width", [60, 72, 80])
@pytest.mark.parametrize("blank", [False, True])
@pytest.mark.parametrize("chunk", [50, 1 << 22])
def test_wrapped_prose_is_an_error_and_its_remedy_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int, blank: bool, chunk: int
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_BYTES", chunk)
    prose = paragraphs(60)
    wrapped = [line for text in prose for line in [*textwrap.wrap(text, width), *[""] * blank]]
    path = write(tmp_path / "a b.txt", [line.encode() for line in wrapped], b"\r\n" if width == 60 else b"\n")
    found = findings(examine([path]))["wrapped lines"]
    assert found.verdict == "error" and found.places == [str(path)]
    assert found.found == f"{sum(map(bool, wrapped))} in 1 file look wrapped at {width} characters"
    again = joined_by_its_remedy(found, path, tmp_path / "new.txt")
    if blank:
        assert again == prose
    else:  # a paragraph whose last line is nearly full is joined with the next
        assert len(again) > 0.6 * len(prose) and " ".join(again) == " ".join(prose)
    assert findings(examine([tmp_path / "new.txt"]))["wrapped lines"].verdict == "ok"


def test_files_of_other_kinds_are_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", GOOD)
    found = findings(examine([path], left_out={".md": 10, ".docx": 2}))["other files"]
    assert (found.verdict, found.found) == ("warning", "12 files of other kinds left out: 10 .md, 2 .docx")
    assert "other files" not in findings(examine([path]))


def test_a_text_without_faults_is_good(tmp_path: Path) -> None:
    lines = [f"Sentence number {number} of many.".encode() for number in range(20000)]
    report = examine([write(tmp_path / "a.txt", lines)])
    assert report.good and all(finding.verdict == "ok" and not finding.places for finding in report.findings)
    report = examine([write(tmp_path / "b.txt", [*lines[:9000], *lines[:11000]])])
    assert not report.good and findings(report)["unique"].found == "55.0%"
