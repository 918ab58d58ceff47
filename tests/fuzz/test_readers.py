"""The fuzzing of Python's readers, for a few files of each kind; `make fuzz-python` reads thousands."""

import pytest
from fuzz.readers import TARGETS, draw_at_random


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", TARGETS)
def test_a_changed_file_is_read_or_refused(name: str) -> None:
    assert draw_at_random(name, seconds=60, seed=1, most=40) == 40
