"""A run with `init_from` has the shape and the vocabulary of that model; what contradicts it is one line."""

import pytest
from runs import composed

from lai.config.load import load_run_config
from lai.export.lai_file import read_model, write_model
from lai.host.errors import UserError
from lai.run.follow import follow_initial, next_stage
from lai.tokenizer.vocab import Vocab


def settings(model_file, *overrides):
    given = (f"init_from={model_file}", *overrides)
    return load_run_config(composed("output_dir=out", *given), given, follow_initial)


def refused(model_file, *overrides):
    with pytest.raises(UserError) as raised:
        settings(model_file, *overrides)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_shape_vocabulary_and_rates_follow_by_themselves(model_file):
    run, config = settings(model_file), read_model(model_file).config
    assert (run.model.dim, run.model.n_layers, run.model.max_seq_len) == (32, 1, 64)
    assert run.model.norm_eps == 1e-5  # the file has it as float32
    assert (run.data.vocab_path, run.data.vocab_size) == (str(model_file), config.vocab_size)
    assert run.data.seq_len == 64 and run.optimizer.lr == 0.125 / 32
    assert run.model.name == "m-2"


def test_what_is_typed_may_repeat_the_model(model_file, tmp_path):
    read_model(model_file).vocab.save(tmp_path / "v.bin")
    size = len(read_model(model_file).vocab)
    same = ("model.dim=32", f"data.vocab_size={size}", f"data.vocab_path={tmp_path / 'v.bin'}")
    run = settings(model_file, "model.name=mine", *same)
    assert run.model.dim == 32 and run.model.name == "mine"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("model.dim=64",), "the model settings have dim 64, but {} has dim 32; leave model.dim out"),
        (("model=small",), "have dim 768, hidden_dim 3072, n_layers 16, n_heads 12, n_kv_heads 12, but {} has dim 32"),
        (("model.rope_theta=5000",), "have rope_theta 5000, but {} has rope_theta 10000.0"),
        (("++model.tie_embeddings=false",), "have tie_embeddings False, but {} has tie_embeddings True"),
        (("data.vocab_size=5000",), "data.vocab_size is 5000, but {} has"),
        (("data.seq_len=65",), "data.seq_len is 65; it must be from 1 to model.max_seq_len, 64"),
    ],
    ids=str,
)
def test_what_contradicts_the_model_is_one_line_with_both_values(model_file, overrides, words):
    assert words.format(model_file) in refused(model_file, *overrides)


def test_another_vocabulary_is_refused(model_file, tmp_path, small_vocab):
    Vocab(small_vocab.tokens, small_vocab.scores - (small_vocab.scores > -1e9)).save(tmp_path / "v.bin")
    assert "has another vocabulary" in refused(model_file, f"data.vocab_path={tmp_path / 'v.bin'}")


def test_the_context_may_change(model_file):
    assert settings(model_file, "model.max_seq_len=32").data.seq_len == 32
    assert settings(model_file, "model.max_seq_len=128").model.max_seq_len == 128


def test_what_is_no_model_is_one_line(tmp_path):
    assert "init_from=no/such.bin: cannot read" in refused("no/such.bin")
    (tmp_path / "x.bin").write_bytes(b"nothing")
    assert "is no model; expected a model file" in refused(tmp_path / "x.bin")
    assert "init_from is 3" in refused("3")


def test_a_name_from_a_file_is_no_path(tmp_path, model_file):
    model = read_model(model_file)
    for told, name in (("../../evil", "m-x-2"), ("nano", "nano-2"), (["nano"], "m-x-2"), ("nano-2", "nano-3")):
        manifest = {"model": {"name": told}}
        write_model(tmp_path / "m x.bin", model.config, model.weights, model.vocab, manifest=manifest)
        assert settings(tmp_path.joinpath("m x.bin").as_posix().replace(" ", "\\ ")).model.name == name


def test_stages_are_numbered():
    assert [next_stage(name) for name in ("nano", "nano-2", "my-9", "a-b", "7")] == [
        "nano-2",
        "nano-3",
        "my-10",
        "a-b-2",
        "7-2",
    ]


def test_settings_without_the_function_that_follows_are_refused(model_file):
    with pytest.raises(UserError, match=r"init_from: give compose_run the function lai\.run\.follow\.follow_initial"):
        load_run_config(composed("output_dir=out", f"init_from={model_file}"))
