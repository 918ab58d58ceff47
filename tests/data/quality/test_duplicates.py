"""Equal texts are found, however many there are."""

from pathlib import Path

import numpy as np
import pytest
from runs import example_lines

from lai.data.quality.duplicates import DuplicateFinder, hashes_of


def test_duplicates_are_found_across_spills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lai.data.quality.duplicates._HELD_BYTES", 160)
    finder = DuplicateFinder(tmp_path)
    texts = [line.encode() for line in example_lines(1500) * 2]
    for start in range(0, len(texts), 7):
        part = texts[start : start + 7]
        finder.add(hashes_of(part), np.arange(start, start + len(part)))
    again = [number for number, text in enumerate(texts) if text in texts[:number]]
    assert finder.duplicates(10) == (len(again), again[:10])
