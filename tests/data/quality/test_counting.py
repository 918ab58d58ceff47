"""Counts and the sample, against counts made one line at a time."""

import gzip
import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from toy_quality import GOOD, findings, write

from lai.data.quality import counting
from lai.data.quality.conversations import task_of
from lai.data.quality.report import examine
from lai.data.sources import chunks
from lai.data.sources.files import read_documents


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
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 7 + 50 * seed)
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


def test_files_other_than_text_are_counted_by_document(tmp_path: Path) -> None:
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


def test_a_large_text_is_sampled_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the text is Hungarian, in one block; the sample must not see only the first half."""
    monkeypatch.setattr(counting, "SAMPLE_BYTES", 2000)
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 999)
    hungarian = [f"A {number}. ló a kertben van.".encode() for number in range(1000)]
    english = [f"The horse {number} is in the garden.".encode() for number in range(800)]
    facts = examine([write(tmp_path / "a.txt", [*hungarian, *english])]).facts
    assert 1 / 64 <= facts["sampled"] < 1 / 8
    assert facts["languages"]["hu"] == pytest.approx(0.5, abs=0.06)
    assert facts["languages"]["en"] == pytest.approx(0.5, abs=0.06)
