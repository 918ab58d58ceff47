import pytest
from toy_vocab import sample_texts

from lai.tokenizer.train import learn_vocab


@pytest.fixture(scope="module")
def vocab():
    return learn_vocab([*sample_texts(), "e\u0301 😀😀 日本 日本 <user> <use <us  \u2581".encode() * 3], 700)
