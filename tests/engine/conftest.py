import sys

from engine_fixtures import engine, make_model, vocab
from engine_program import ROOT

__all__ = ["engine", "make_model", "vocab"]

# The encoding steps word for word stand beside the tests of lai/tokenizer/vocab.py.
sys.path.append(str(ROOT / "tests" / "data"))
