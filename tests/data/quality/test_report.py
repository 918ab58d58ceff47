"""The quality report, against counts made one document at a time and against faults put in by hand."""

import errno
import gzip
import json
from pathlib import Path

import pytest
from toy_quality import GOOD, findings, write

from lai.data.quality import counting
from lai.data.quality.report import Quality, examine
from lai.host.errors import UserError


def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    packed = tmp_path / "c.txt.gz"
    packed.write_bytes(gzip.compress(b"one\ntwo\n" * 1000)[:-20])
    with pytest.raises(UserError, match="damaged gzip"):
        examine([packed])
    with pytest.raises(UserError, match=r"b.jsonl:2: not JSON"):
        examine([write(tmp_path / "b.jsonl", [b'{"text": "x"}', b"{"])])


def test_an_empty_file_is_no_error_of_the_program(tmp_path: Path) -> None:
    report = examine([write(tmp_path / "a.txt", [b""])])
    assert report.facts["documents"] == 0 and not report.good


def test_the_report_survives_its_json_form(tmp_path: Path) -> None:
    report = examine([write(tmp_path / "a.txt", [*GOOD, b"\xff"])])
    assert Quality.from_json(report.to_json()) == report
    assert json.loads(report.to_json())["good"] is False


@pytest.mark.heavy
def test_the_real_text_is_checked(shared_data: Path) -> None:
    """Its README says what it holds: lines, no exact duplicate, a literal tag here and there."""
    pairs = examine([shared_data / "parallel.tsv"])
    assert pairs.facts["documents"] == 400_000 and pairs.facts["tasks"]["translation"] == 1
    assert findings(pairs)["tags as letters"].found == "6"
    assert pairs.good
    prose = examine([shared_data / "mono.hu.txt", shared_data / "mono.en.txt"])
    assert prose.facts["documents"] == 29_122 + 94_233 and prose.good
    assert prose.facts["languages"]["hu"] == pytest.approx(0.22, abs=0.02)


def test_a_full_temporary_folder_is_an_error_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(counting.Counting, "merge", full)
    with pytest.raises(UserError, match=r"folder for temporary files, is full; give another one: TMPDIR=FOLDER"):
        examine([write(tmp_path / "a.txt", GOOD)])
