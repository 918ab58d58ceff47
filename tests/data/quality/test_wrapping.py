"""Prose that is wrapped at some width, and lines that are not."""

import random
import re
import textwrap
from pathlib import Path

import pytest
from toy_quality import WORDS, findings, paragraphs, write

from lai.data.quality.report import examine


def test_wrapped_files_are_found_among_others(tmp_path: Path) -> None:
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
