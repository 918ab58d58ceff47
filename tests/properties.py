"""How many inputs hypothesis tries for a test that holds for any: few and always the same ones, or as many as asked.

LAI_EXAMPLES=100000 pytest tests/tokenizer/test_vocab.py tests/data/tokens -k "test_any or as_full"
"""

import os

from hypothesis import settings

_ASKED = int(os.environ.get("LAI_EXAMPLES", "0"))

examples = settings(max_examples=_ASKED or 40, derandomize=not _ASKED, database=None, deadline=None)
"""Decorates a test below `hypothesis.given`."""
