"""What a run with `init_from` begins with."""

import pytest
import torch

from lai.export.lai_file import read_model, write_model
from lai.host.errors import UserError
from lai.model.module import LanguageModel
from lai.model.transformer import ModelConfig
from lai.run.initial import read_initial


@pytest.fixture
def begin(compose_run, model_file, small_vocab):
    """What a run begins with, and its module."""

    def build(*overrides, **shape):
        run = compose_run(
            f"init_from={model_file}", "model.dim=32", "model.n_layers=1", "model.hidden_dim=64", *overrides
        )
        config = ModelConfig.of(run.model, len(small_vocab))
        config = ModelConfig(**config.to_dict() | shape)
        lengths = torch.from_numpy(small_vocab.byte_lengths.copy())
        return read_initial(run), LanguageModel(config, small_vocab.to_bytes(), lengths, run.optimizer, run.schedule)

    return build


def test_the_network_gets_the_weights_and_the_memory_is_freed(begin, model_file):
    initial, module = begin()
    initial.give_weights(module)
    expected = read_model(model_file).weights
    assert all(torch.equal(weight, expected[name]) for name, weight in module.model.state_dict().items())
    assert initial.model.weights == {}


def test_a_shorter_context_takes_the_same_weights(begin):
    initial, module = begin("model.max_seq_len=32")
    initial.give_weights(module)
    assert module.model.cos.shape[0] == 32


def test_a_file_that_was_replaced_meanwhile_is_refused(begin):
    initial, module = begin(hidden_dim=96)
    with pytest.raises(UserError, match="was replaced while the run started; start it again"):
        initial.give_weights(module)


def test_only_the_vocabulary_of_the_model_is_read_from_it(begin, small_vocab, model_file):
    initial, _ = begin()
    read = initial.vocab_reader(lambda path: f"the one in {path}")
    assert read(model_file) is initial.vocab and initial.vocab.fingerprint == small_vocab.fingerprint
    assert read("other.bin") == "the one in other.bin"


def test_a_run_without_it_begins_with_nothing(compose_run):
    assert read_initial(compose_run()) is None


def test_the_lines_tell_what_is_known(begin, model_file):
    initial, _ = begin()
    assert list(initial.lines(64)) == [f"{model_file}, a model file: how it was trained is unknown"]
    model = read_model(model_file)
    write_model(model_file, model.config, model.weights, model.vocab, "q4_0")
    lines = list(begin()[0].lines(128))
    assert "rounded to q4_0" in lines[1] and "have seen positions up to 64" in lines[2]
