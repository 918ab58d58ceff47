"""Telling Hungarian from English."""

import random
from pathlib import Path

import pytest

from lai.data.text.language import identify


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("A kutya ugat, mert jön a postás.", "hu"),
        ("The dog barks because the postman is coming.", "en"),
        ("Egy ember volt.", "hu"),
        ("Is it a man?", "en"),
        ("A BUDAPESTI UTCÁN", "hu"),
        ("12345 {} <tag>", "other"),
        ("", "other"),
    ],
)
def test_short_sentences_have_their_language(text: str, language: str) -> None:
    assert identify(text.encode()) == language


@pytest.mark.parametrize(
    ("name", "language", "least"),
    [
        ("mono.hu.txt", "hu", 0.999), ("mono.en.txt", "en", 0.99), ("stories.hu.txt", "hu", 0.99),
        ("stories.en.txt", "en", 0.98),
    ],
)  # fmt: skip
def test_most_lines_of_real_text_have_their_language(shared_data: Path, name: str, language: str, least: float) -> None:
    lines = (shared_data / name).read_bytes().splitlines()
    chosen = random.Random(0).sample(lines, 3000)
    assert sum(identify(line) == language for line in chosen) >= least * len(chosen)
