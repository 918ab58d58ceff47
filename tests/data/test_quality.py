"""The quality report, against counts made one document at a time and against faults put in by hand."""

import errno
import gzip
import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from lai.data import quality, texts
from lai.data.corpus import read_documents
from lai.data.markup import Document, Turn, plain
from lai.data.quality import Finding, Quality, examine, task_of
from lai.data.vocab import Vocab
from lai.errors import UserError

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
    vocab = Vocab.train([line for line in GOOD if b"<" not in line], vocab_size=330, min_freq=1)
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
    monkeypatch.setattr(quality, "SAMPLE_BYTES", 2000)
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
        ((Turn("assistant", b"Hello."),), "conversation"),
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


def test_a_full_folder_for_temporary_files_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(quality._Counting, "add", full)
    with pytest.raises(UserError, match=r"folder for temporary files, is full; give another one: TMPDIR=FOLDER"):
        examine([write(tmp_path / "a.txt", GOOD)])
