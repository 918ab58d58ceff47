"""`lai.load`, as a program or a notebook uses it."""

import subprocess
import sys

import pytest
import torch

import lai
from lai.export.lai_file import read_model
from lai.host.errors import UserError


def test_a_loaded_model_predicts_what_its_network_does(model_file):
    model, expected = lai.load(model_file), read_model(model_file)
    ids = [1, *model.encode("The dog.")]
    with torch.inference_mode():
        logits = expected.build()(torch.tensor([ids]))
    assert model.logits(ids).shape == (len(ids), expected.config.vocab_size)
    assert torch.equal(model.logits(ids), logits[0])
    assert torch.equal(model.logits(torch.tensor([ids, ids])), logits.expand(2, -1, -1))
    assert model.config == expected.config and model.training == expected.training and model.manifest is None
    assert model.build() is model.build() and not model.build().training
    assert model.vocab.fingerprint == expected.vocab.fingerprint
    assert f"model file {model_file}" in repr(model)


def test_text_becomes_ids_and_text_again(model_file):
    model = lai.load(str(model_file))
    text = "A <user> kutyák: árvíz"
    assert model.decode(model.encode(text)) == text
    user = model.vocab.tag_id(b"<user>")
    assert user in model.encode(text, markup=True) and user not in model.encode(text)


def test_impossible_ids_are_one_line(model_file):
    model = lai.load(model_file)
    for ids, words in (
        ([], r"the ids have the shape \[0\]"),
        ([len(model.vocab)], "an id is not in this vocabulary"),
        ([-1], "an id is not in this vocabulary"),
        ([1] * 65, "there are 65 ids; this model's context holds 64"),
    ):
        with pytest.raises(UserError, match=words):
            model.logits(ids)


def test_another_program_s_model_takes_ids_and_refuses_text(tmp_path, save_llama):
    theirs = save_llama(tmp_path)
    model = lai.load(tmp_path)
    with torch.inference_mode():
        assert (model.logits([5, 6, 7]) - theirs(torch.tensor([[5, 6, 7]])).logits[0]).abs().max() < 1e-5
    assert model.vocab is None
    for refused in (lambda: model.encode("dog"), lambda: model.decode([5])):
        with pytest.raises(UserError, match="has a tokenizer of its own, LAi reads ids only"):
            refused()


def test_importing_lai_loads_no_torch():
    code = "import sys, lai; print('torch' in sys.modules, 'numpy' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False", "False"]
