"""The quality report, against counts made one document at a time and against faults put in by hand."""

import errno
import gzip
import json
import random
import re
import shlex
import subprocess
import textwrap
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from lai.data.quality import counting
from lai.data.quality import text_batches as texts
from lai.data.quality.conversations import task_of
from lai.data.quality.findings import Finding
from lai.data.quality.report import Quality, examine
from lai.data.sources.files import read_documents
from lai.host.errors import UserError
from lai.tokenizer.chat import Document, Turn, parse_line, plain
from lai.tokenizer.train import learn_vocab

GOOD = [
    "A ló fut a kertben.".encode(),
    b"The dog runs in the garden.",
    b"<user>Translate to Hungarian: the dog</user><assistant>a kutya</assistant>",
    "<user>Ki fut?</user><assistant>A ló.</assistant>".encode(),
    "<user>Fordítsd angolra: a ló</user><assistant>the horse</assistant>".encode(),
    b"<user>Hi.</user><assistant>Hello!</assistant><user>Bye.</user><assistant>Bye!</assistant>",
]


def findings(report: Quality) -> dict[str, Finding]:
    return {finding.check: finding for finding in report.findings}


def write(path: Path, lines: list[bytes], end: bytes = b"\n") -> Path:
    path.write_bytes(end.join(lines) + end)
    return path


def test_facts_of_a_small_text(tmp_path: Path) -> None:
    report = examine([write(tmp_path / "a.txt", [*GOOD, b"", b"  ", GOOD[1]])])
    facts = report.facts
    assert (facts["lines"], facts["documents"], facts["empty"], facts["duplicates"]) == (9, 7, 2, 1)
    assert facts["unique"] == pytest.approx(6 / 7)
    texts = [*GOOD, GOOD[1]]
    assert facts["bytes"] == sum(map(len, texts)) and facts["characters"] == sum(len(text.decode()) for text in texts)
    assert facts["longest"] == max(len(text.decode()) for text in texts)
    assert {name: round(share * 7) for name, share in facts["tasks"].items()} == {
        "plain": 3, "translation": 1, "question": 1, "instruction": 1, "conversation": 1,
    }  # fmt: skip
    assert report.facts["sampled"] == 1 and sum(report.lengths) == 7
    assert findings(report)["unique"].places == [f"{tmp_path / 'a.txt'}:9"]
    # Far too little text is an error, as the guide has it.
    assert findings(report)["documents"] == Finding("documents", "error", "7", "at least 20,000")
    assert not report.good


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


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n", b"\r\n \r\n"])
@pytest.mark.parametrize("chunk", [5, 1 << 22])
def test_turns_of_a_conversation_on_several_lines_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: bytes, chunk: int
) -> None:
    """Told apart from lone turns, whatever batch the lines come in; the command in the remedy mends them."""
    monkeypatch.setattr(texts, "CHUNK_BYTES", chunk)
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


SHORT_WORDS = ["the", "a", "of", "and", "in", "old", "wall", "horse", "small", "under", "quietly"]
WORDS = [*SHORT_WORDS, "children", "mountain", "themselves", "between", "evening", "remembered", "nothing", "because"]


def paragraphs(count: int, seed: int = 0) -> list[str]:
    """Prose as to its shape: sentences of five to twenty words, one to nine of them a paragraph."""
    draw = random.Random(seed)

    def sentence() -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(5, 20))).capitalize() + draw.choice(".....?!")

    return [" ".join(sentence() for _ in range(draw.randint(1, 9))) for _ in range(count)]


@pytest.mark.parametrize("width", [60, 72, 80])
@pytest.mark.parametrize("blank", [False, True])
@pytest.mark.parametrize("chunk", [50, 1 << 22])
def test_wrapped_prose_is_an_error_and_its_remedy_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int, blank: bool, chunk: int
) -> None:
    monkeypatch.setattr(texts, "CHUNK_BYTES", chunk)
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


def test_wrapped_files_are_told_among_others(tmp_path: Path) -> None:
    prose = paragraphs(40)
    whole = write(tmp_path / "a.txt", [text.encode() for text in paragraphs(4000, seed=1)])
    wrapped = write(tmp_path / "b.txt", [line.encode() for text in prose for line in textwrap.wrap(text, 70)])
    found = findings(examine([whole, wrapped]))["wrapped lines"]
    assert found.verdict == "error" and found.places == [str(wrapped)]


@pytest.mark.parametrize("kind", ["paragraphs", "sentences", "small letters", "list", "dialogue", "records", "verse"])
def test_lines_that_are_documents_do_not_look_wrapped(tmp_path: Path, kind: str) -> None:
    draw = random.Random(0)
    prose = paragraphs(2000)
    sentences = [sentence for text in prose for sentence in re.split(r"(?<=[.?!]) ", text)]
    lines = {
        "paragraphs": prose,
        "sentences": sentences,
        "small letters": [sentence.lower().rstrip(".?!") for sentence in sentences],
        "list": [f"- {' '.join(draw.choices(WORDS, k=draw.randint(3, 12)))}" for _ in range(2000)],
        "dialogue": [f"{' '.join(draw.choices(WORDS, k=draw.randint(1, 12)))}?" for _ in range(2000)],
        "records": [f"worker {draw.randint(100, 999)} finished job {draw.randint(1000, 9999)} with status ok"
                    for _ in range(2000)],
        "verse": [" ".join(draw.choices(WORDS, k=draw.randint(5, 8))) for _ in range(2000)],
    }[kind]  # fmt: skip
    path = write(tmp_path / "a.txt", [line.encode() for line in lines])
    assert findings(examine([path]))["wrapped lines"].verdict == "ok"


def test_files_of_other_kinds_are_told(tmp_path: Path) -> None:
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


def random_text(seed: int) -> list[bytes]:
    """Lines of many kinds, some with faults."""
    draw = random.Random(seed)
    words = ["a", "ló", "dog", "őz", "<user>", "</user>", "<assistant>", "</assistant>", "\u2028", " ", "\t", "𝄞"]
    pool = [*GOOD, b"", b" ", b"\xc5", b"\x01", *("".join(draw.choices(words, k=9)).encode() for _ in range(30))]
    return draw.choices(pool, k=500)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_counts_are_those_of_one_line_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, end: bytes
) -> None:
    """In pieces of any size, so that pieces end inside lines, line ends and characters."""
    lines = random_text(seed)
    path = write(tmp_path / "a.txt", lines, end)
    if seed % 2:
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().removesuffix(end))
    monkeypatch.setattr(texts, "CHUNK_BYTES", 7 + 50 * seed)
    report = examine([path])
    kept = [line for line in lines if line.strip()]
    documents = list(read_documents(path))
    assert len(documents) == len(kept) == report.facts["documents"]
    assert report.facts["empty"] == len(lines) - len(kept)
    assert report.facts["duplicates"] == len(kept) - len(set(kept))
    tasks = Counter(task_of(document) for document in documents)
    assert report.facts["tasks"] == pytest.approx({name: count / len(kept) for name, count in tasks.items()})
    lengths = np.array([len(line.decode("utf-8", "replace")) for line in kept])
    assert report.facts["characters"] == lengths.sum()
    assert np.array_equal(report.lengths, np.bincount(lengths))
    for name, value in report.facts["percentiles"].items():
        assert value == np.percentile(lengths, int(name), method="inverted_cdf")
    seen: set[bytes] = set()
    again = []
    for number, line in enumerate(lines, start=1):
        if line.strip() and line in seen:
            again.append(f"{path}:{number}")
        seen.add(line)
    assert findings(report)["unique"].places == again[:5]


def test_other_kinds_of_files_are_counted_by_document(tmp_path: Path) -> None:
    pairs = write(tmp_path / "a.tsv", [b"the dog\ta kutya", b"a <user> tag\tegy <user> tag", b"only one side"])
    rows = write(tmp_path / "b.jsonl", [json.dumps({"text": "one\ntwo ő"}).encode()] * 2)
    packed = tmp_path / "c.txt.gz"
    packed.write_bytes(gzip.compress(b"one\n\ntwo\x00\n"))
    report = examine([pairs, rows, packed])
    assert report.facts["documents"] == 4 + 2 + 2
    assert (report.facts["skipped"], report.facts["empty"]) == (1, 1)
    assert report.facts["tasks"] == {"translation": 0.5, "plain": 0.5}
    found = findings(report)
    # In a pair a tag is what somebody wrote, not a mistake.
    assert found["malformed markup"].verdict == "ok"
    assert found["tags as letters"].places == [f"{pairs}:2"]
    assert found["unique"].places == [f"{rows}:2"]
    assert found["control characters"].places == [f"{packed}:3"]
    longest = "<user>Translate to Hungarian: a <user> tag</user><assistant>egy <user> tag</assistant>"
    assert report.facts["longest"] == len(longest)


def test_places_are_lines_and_rows_of_the_file_also_where_some_are_left_out(tmp_path: Path) -> None:
    pairs = write(tmp_path / "a.tsv", [b"only one side", b"", b"the dog\ta kutya", b"the <user>\ta <user>"])
    table = tmp_path / "b.parquet"
    parquet.write_table(pyarrow.table({"text": ["one", None, "", "one"]}), table)
    again = write(tmp_path / "c.tsv", [b"", b"the dog\ta kutya"])
    found = findings(examine([pairs, table, again]))
    assert found["tags as letters"].places == [f"{pairs}:4"]
    assert found["unique"].places == [f"{table}: row 4", f"{again}:2"]


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    packed = tmp_path / "c.txt.gz"
    packed.write_bytes(gzip.compress(b"one\ntwo\n" * 1000)[:-20])
    with pytest.raises(UserError, match="damaged gzip"):
        examine([packed])
    with pytest.raises(UserError, match=r"b.jsonl:2: not JSON"):
        examine([write(tmp_path / "b.jsonl", [b'{"text": "x"}', b"{"])])


def test_an_empty_file_is_no_error_of_the_program(tmp_path: Path) -> None:
    report = examine([write(tmp_path / "a.txt", [b""])])
    assert report.facts["documents"] == 0 and not report.good


def test_facts_about_tokens_are_those_of_the_vocabulary(tmp_path: Path) -> None:
    vocab = learn_vocab([line for line in GOOD if b"<" not in line], vocab_size=330, min_freq=1)
    path = write(tmp_path / "a.txt", GOOD)
    report = examine([path], vocab)
    contents = [turn.content for document in read_documents(path) for turn in document]
    ids = [index for content in contents for index in vocab.encode_text(content)]
    tokens = report.facts["tokens"]
    assert tokens["tokens"] == len(ids)
    assert tokens["bytes_per_token"] == pytest.approx(sum(map(len, contents)) / len(ids))
    assert tokens["byte_fallback"] == pytest.approx(sum(4 <= index < 260 for index in ids) / len(ids))
    learned = [index for index in range(260, len(vocab)) if not vocab.tokens[index].startswith(b"<")]
    assert tokens["never_used"] == len(set(learned) - set(ids))
    found = findings(report)["vocabulary"]
    assert (found.verdict, found.found) == ("warning", f"{len(vocab)} tokens")


def test_the_sample_of_a_large_text_is_even(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the text is Hungarian, in one block; the sample must not see only the first half."""
    monkeypatch.setattr(counting, "SAMPLE_BYTES", 2000)
    monkeypatch.setattr(texts, "CHUNK_BYTES", 999)
    hungarian = [f"A {number}. ló a kertben van.".encode() for number in range(1000)]
    english = [f"The horse {number} is in the garden.".encode() for number in range(800)]
    facts = examine([write(tmp_path / "a.txt", [*hungarian, *english])]).facts
    assert 1 / 64 <= facts["sampled"] < 1 / 8
    assert facts["languages"]["hu"] == pytest.approx(0.5, abs=0.06)
    assert facts["languages"]["en"] == pytest.approx(0.5, abs=0.06)


def test_the_report_survives_its_json_form(tmp_path: Path) -> None:
    report = examine([write(tmp_path / "a.txt", [*GOOD, b"\xff"])])
    assert Quality.from_json(report.to_json()) == report
    assert json.loads(report.to_json())["good"] is False


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
def test_tasks(document: Document, task: str) -> None:
    assert task_of(document) == task


def test_the_real_text_is_checked(shared_data: Path) -> None:
    """Its README says what it holds: lines, no exact duplicate, a literal tag here and there."""
    pairs = examine([shared_data / "parallel.tsv"])
    assert pairs.facts["documents"] == 400_000 and pairs.facts["tasks"]["translation"] == 1
    assert findings(pairs)["tags as letters"].found == "6"
    assert pairs.good
    prose = examine([shared_data / "mono.hu.txt", shared_data / "mono.en.txt"])
    assert prose.facts["documents"] == 29_122 + 94_233 and prose.good
    assert prose.facts["languages"]["hu"] == pytest.approx(0.22, abs=0.02)


@pytest.mark.parametrize("name", ["mono.hu.txt", "stories.hu.txt"])
def test_real_prose_looks_wrapped_only_where_it_is(shared_data: Path, tmp_path: Path, name: str) -> None:
    path = shared_data / name
    assert findings(examine([path]))["wrapped lines"].verdict == "ok"
    prose = path.read_text(encoding="utf-8").split("\n")[:500]
    for width in (60, 72, 80):
        for between in ("\n", "\n\n"):
            text = between.join("\n".join(textwrap.wrap(line, width)) for line in prose)
            found = findings(examine([write(tmp_path / "a.txt", [text.encode()])]))["wrapped lines"]
            assert f"wrapped at {width} characters" in found.found


def test_a_full_folder_for_temporary_files_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(counting.Counting, "add", full)
    with pytest.raises(UserError, match=r"folder for temporary files, is full; give another one: TMPDIR=FOLDER"):
        examine([write(tmp_path / "a.txt", GOOD)])
