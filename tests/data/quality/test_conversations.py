"""The task of a document, and conversations that are not whole."""

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from lai.data.quality.conversations import task_of
from lai.data.quality.findings import Finding
from lai.data.quality.report import Quality, examine
from lai.data.sources import chunks
from lai.tokenizer.chat import Document, Turn, parse_line, plain


def findings(report: Quality) -> dict[str, Finding]:
    return {finding.check: finding for finding in report.findings}


def write(path: Path, lines: list[bytes], end: bytes = b"\n") -> Path:
    path.write_bytes(end.join(lines) + end)
    return path


def joined_by_its_remedy(finding: Finding, path: Path, target: Path) -> list[str]:
    """The lines that the command in a finding makes of a file."""
    command = finding.remedy.partition(": ")[2]
    command = command.replace("FILE", shlex.quote(str(path))).replace("NEW.txt", "NEW").replace("NEW", str(target))
    subprocess.run(command, shell=True, check=True)
    return [line.strip() for line in target.read_bytes().decode().split("\n") if line.strip()]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n", b"\r\n \r\n"])
@pytest.mark.parametrize("chunk", [5, 1 << 22])
def test_turns_of_a_conversation_on_several_lines_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: bytes, chunk: int
) -> None:
    """Told apart from lone turns, whatever batch the lines come in; the command in the remedy mends them."""
    monkeypatch.setattr(chunks, "CHUNK_BYTES", chunk)
    lines = [
        b"<user>Q1</user>", b"<assistant>A1</assistant>",
        b"plain text",
        b"<system>S</system>", b"<user>Q2</user>", b"<assistant>A2</assistant>",
        b"<user>Q3</user><assistant>A3</assistant>",
        b"<user>lone</user>",
        b"plain text again",
        b"<assistant>lone</assistant>",
    ]  # fmt: skip
    path = write(tmp_path / "a.txt", lines, end)
    report = examine([path, write(tmp_path / "b.txt", [b"<user>a</user>"]), write(tmp_path / "c.txt", lines[1:2])])
    step = 1 if end.count(b"\n") == 1 else 2
    split, lone = findings(report)["turns on several lines"], findings(report)["incomplete conversations"]
    assert (split.verdict, split.found) == ("error", "5")
    assert split.places == [f"{path}:{1 + step * index}" for index in (0, 1, 3, 4, 5)]
    assert (lone.verdict, lone.found) == ("error", "4")  # the next file does not carry on what the last one began
    assert lone.places[:2] == [f"{path}:{1 + step * index}" for index in (7, 9)]
    assert report.facts["tasks"]["incomplete"] * report.facts["documents"] == pytest.approx(9)
    path.write_bytes(end.join(lines[:9]) + end)
    again = joined_by_its_remedy(split, path, tmp_path / "new.txt")
    mended = findings(examine([tmp_path / "new.txt"]))
    assert mended["turns on several lines"].found == "0" and len(again) == 6
    assert parse_line(again[2].encode()) == (Turn("system", b"S"), Turn("user", b"Q2"), Turn("assistant", b"A2"))


def test_messages_that_are_no_whole_conversation_are_an_error(tmp_path: Path) -> None:
    conversations = ["u", "a", "s", "us", "ua", "sua", "uaua", "uau", "au", "uua", "uaa", "sau", "usa", "ssua"]
    roles = {"u": "user", "a": "assistant", "s": "system"}
    rows = [{"messages": [{"role": roles[role], "content": "x"} for role in some]} for some in conversations]
    path = write(tmp_path / "a.jsonl", [json.dumps(row).encode() for row in rows])
    found = findings(examine([path]))["incomplete conversations"]
    wrong = [number for number, some in enumerate(conversations, 1) if some not in ("ua", "sua", "uaua")]
    assert found.found == str(len(wrong)) and found.places == [f"{path}:{number}" for number in wrong[:5]]
    # In other files than text a row is a document: the next one never carries on.
    assert findings(examine([path]))["turns on several lines"].found == "0"


@pytest.mark.parametrize(
    ("document", "task"),
    [
        (plain(b"Who?"), "plain"),
        ((Turn("user", b"Who? "), Turn("assistant", b"Me.")), "question"),
        ((Turn("user", b"Go on"), Turn("assistant", b"Me.")), "instruction"),
        ((Turn("system", b"Be kind."), Turn("user", b"Translate to English: a"), Turn("assistant", b"horse")),
         "translation"),
        ((Turn("user", b"a"), Turn("assistant", b"b"), Turn("user", b"c"), Turn("assistant", b"d")), "conversation"),
        ((Turn("assistant", b"Hello."),), "incomplete"),
        ((Turn("user", b"Hello?"),), "incomplete"),
        ((Turn("system", b"Be kind."),), "incomplete"),
        ((Turn("user", b"a"), Turn("assistant", b"b"), Turn("user", b"c")), "incomplete"),
        ((Turn("user", b"a"), Turn("user", b"b"), Turn("assistant", b"c"), Turn("assistant", b"d")), "incomplete"),
        ((Turn("user", b"a"), Turn("system", b"s"), Turn("assistant", b"b")), "incomplete"),
    ],
)  # fmt: skip
def test_each_conversation_has_its_task(document: Document, task: str) -> None:
    assert task_of(document) == task
