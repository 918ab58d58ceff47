"""What the tests of the formats share: files of small texts, and what is read from them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lai.data.sources.files import read_file
from lai.data.sources.reading import Reading
from lai.data.sources.streams import CorpusCounts
from lai.tokenizer.chat import render

Read = Callable[..., list[tuple[int, str]]]


@pytest.fixture
def counts() -> CorpusCounts:
    """What the last call of `read` counted."""
    return CorpusCounts()


@pytest.fixture
def read(tmp_path: Path, counts: CorpusCounts) -> Read:
    """Write a file and read it: the number and the text form of each document."""

    def read(name: str, data: bytes | str, **settings: object) -> list[tuple[int, str]]:
        path = tmp_path / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        counts.__init__()  # type: ignore[misc]
        reading = Reading(**settings)  # type: ignore[arg-type]
        return [(number, render(document).decode()) for number, document in read_file(path, counts, reading)]

    return read


@pytest.fixture
def pairs() -> Callable[..., list[tuple[int, str]]]:
    """What pairs are read as: both directions of each (number, English, Hungarian)."""

    def pairs(*given: tuple[int, str, str]) -> list[tuple[int, str]]:
        return [
            (number, f"<user>Translate to {language}: {asked}</user><assistant>{answer}</assistant>")
            for number, english, hungarian in given
            for language, asked, answer in (("Hungarian", english, hungarian), ("English", hungarian, english))
        ]

    return pairs
