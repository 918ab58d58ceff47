import pytest
from toy_documents import lines

from lai.tokenizer.train import learn_vocab
from lai.tokenizer.vocab import Vocab


@pytest.fixture(scope="module")
def vocab() -> Vocab:
    return learn_vocab(lines(300), vocab_size=330, min_freq=1)
