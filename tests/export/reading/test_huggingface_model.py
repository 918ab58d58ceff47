"""Folders of transformers, LAi's own and other programs', as LAi's network."""

import json
import shutil

import pytest
import torch

from lai.export.huggingface import write_huggingface
from lai.export.reading.huggingface_model import read_huggingface_model
from lai.export.safetensors_file import read_safetensors, write_safetensors
from lai.host.errors import UserError


@pytest.fixture(scope="session")
def own(model, manifest, tmp_path_factory):
    path = tmp_path_factory.mktemp("hf") / "toy.hf"
    path.mkdir()
    write_huggingface(path, model._replace(manifest=manifest))
    return path


@pytest.fixture
def folder(own, tmp_path):
    """A copy of LAi's own folder, to be changed."""
    return shutil.copytree(own, tmp_path / "toy.hf")


def change(path, **settings):
    found = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(found | settings), encoding="utf-8")


def refused(folder):
    with pytest.raises(UserError) as raised:
        read_huggingface_model(folder)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_our_folder_comes_back_exactly(own, model, manifest):
    found = read_huggingface_model(own)
    assert found.config == model.config and found.training == model.training and found.manifest == manifest
    assert found.vocab.fingerprint == model.vocab.fingerprint and found.dtype == "f32"
    assert found.weights.keys() == model.weights.keys()
    assert all(torch.equal(weight, model.weights[name]) for name, weight in found.weights.items())


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
def test_rounded_weights_come_back_as_they_were_rounded(tmp_path, model, dtype):
    write_huggingface(tmp_path, model, dtype)
    found = read_huggingface_model(tmp_path)
    assert found.dtype == dtype
    for name, weight in model.weights.items():
        kept = weight if weight.ndim == 1 else weight.to({"f16": torch.float16, "bf16": torch.bfloat16}[dtype]).float()
        assert torch.equal(found.weights[name], kept)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"tie_word_embeddings": True, "num_key_value_heads": 1},
        {"num_key_value_heads": 4, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
        {"hidden_act": "gelu", "shard_size": "50KB"},
    ],
    ids=str,
)
def test_a_llama_of_another_program_predicts_what_transformers_does(tmp_path, save_llama, settings):
    theirs = save_llama(tmp_path, **settings)
    found = read_huggingface_model(tmp_path)
    ids = torch.randint(300, (2, 40), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        difference = (found.build()(ids) - theirs(ids).logits).abs().max()
    assert difference < 1e-5
    assert found.vocab is None and found.manifest is None
    with pytest.raises(UserError, match="has a tokenizer of its own, LAi reads ids only"):
        found.with_text()


def test_the_base_of_rotary_positions_is_read_from_either_place(tmp_path, save_llama):
    theirs = save_llama(tmp_path, rope_parameters={"rope_type": "default", "rope_theta": 500.0})
    config = tmp_path / "config.json"
    found = json.loads(config.read_text())
    assert read_huggingface_model(tmp_path).config.rope_theta == 500.0
    del found["rope_parameters"]
    config.write_text(json.dumps(found | {"rope_theta": 500, "rope_scaling": None}))
    old = read_huggingface_model(tmp_path)
    assert old.config.rope_theta == 500.0
    ids = torch.arange(40)[None]
    with torch.inference_mode():
        assert (old.build()(ids) - theirs(ids).logits).abs().max() < 1e-5
    change(config, rope_parameters={"rope_type": "default", "rope_theta": 600.0})
    assert "rope_theta 600.0 and 500; expected one number" in refused(tmp_path)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model_type": "mistral"}, "model_type 'mistral'; LAi's network holds 'llama'"),
        ({"attention_bias": True}, "attention_bias True; LAi's network has none"),
        ({"mlp_bias": True}, "mlp_bias True; LAi's network has none"),
        ({"head_dim": 32}, "head_dim 32; LAi's network has dim / n_heads, 16"),
        ({"hidden_act": "gelu_pytorch_tanh"}, "activation is 'gelu_pytorch_tanh'"),
        ({"sliding_window": 4096}, "sliding_window 4096; LAi's network has none"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling of the type 'linear'"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5}}, "rope_parameters of the type 'llama3'"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"num_attention_heads": None}, "num_attention_heads None; expected a number"),
        ({"hidden_size": 10**400}, "hidden_size 1000"),
        ({"hidden_size": True}, "hidden_size True; expected a number"),
        ({"rms_norm_eps": "x\ny"}, "rms_norm_eps 'x\\ny'; expected a number"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings 'yes'; expected true or false"),
        ({"num_hidden_layers": 3}, "has no model.layers.2."),
        ({"intermediate_size": 1 << 20}, "has the shape [96, 64], its settings say [1048576, 64]"),
    ],
    ids=str,
)
def test_what_lai_s_network_cannot_hold_is_refused_by_name(folder, settings, words):
    change(folder / "config.json", **settings)
    assert words in refused(folder)


def change_weights(folder, change):
    tensors, metadata = read_safetensors(folder / "model.safetensors")
    change(tensors)
    write_safetensors(folder / "model.safetensors", tensors, metadata)


def test_missing_unknown_and_damaged_tensors_are_named(folder):
    name = "model.layers.1.self_attn.q_proj.weight"
    bias = "model.layers.0.self_attn.q_proj.bias"
    change_weights(folder, lambda tensors: tensors.update({bias: torch.zeros(64)}))
    assert f"has the tensor {bias}, for which LAi's network has no place" in refused(folder)
    change_weights(folder, lambda tensors: tensors.pop(bias))
    change_weights(folder, lambda tensors: tensors.update({"model.layers.0.rotary_emb.inv_freq": torch.zeros(8)}))
    assert read_huggingface_model(folder).vocab is not None  # an early version's table
    change_weights(folder, lambda tensors: tensors[name].fill_(torch.nan))
    assert f"{name} holds a value that is not finite" in refused(folder)
    change_weights(folder, lambda tensors: tensors.pop(name))
    assert f"has no {name}" in refused(folder)


def test_a_doubled_output_matrix_has_to_be_the_embedding(folder):
    change_weights(
        folder, lambda tensors: tensors.update({"lm_head.weight": tensors["model.embed_tokens.weight"].clone()})
    )
    assert read_huggingface_model(folder).config.tie_embeddings
    change_weights(folder, lambda tensors: tensors["lm_head.weight"].mul_(2))
    assert "says tie_word_embeddings true, and its lm_head.weight differs" in refused(folder)


def test_truncated_files_are_one_line(folder):
    weights = folder / "model.safetensors"
    data = weights.read_bytes()
    for size in (0, 4, 100, len(data) // 2, len(data) - 1):
        weights.write_bytes(data[:size])
        refused(folder)
    (folder / "config.json").write_text("[" * 100_000)
    assert "config.json cannot be read" in refused(folder)


def test_an_index_is_read_and_its_mistakes_are_named(tmp_path, save_llama):
    save_llama(tmp_path, "50KB")
    index = tmp_path / "model.safetensors.index.json"
    places = json.loads(index.read_text())["weight_map"]
    assert len({*places.values()}) > 2
    for wrong, words in (
        ({"lm_head.weight": "../x.safetensors"}, "names the file '../x.safetensors'"),
        ({"lm_head.weight": places["model.norm.weight"]}, "has no lm_head.weight, which"),
        ({"lm_head.weight": "none.safetensors"}, "none.safetensors"),
        ({"lm_head.weight": 3}, "has no weight_map of tensors and files"),
    ):
        change(index, weight_map=places | wrong)
        assert words in refused(tmp_path)


def test_pickled_weights_are_refused_by_name(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "has no model.safetensors; pytorch_model.bin may hold code" in refused(folder)


def test_a_changed_tokenizer_is_refused(folder):
    tokenizer = folder / "tokenizer.json"
    model = json.loads(tokenizer.read_text(encoding="utf-8"))["model"]
    change(tokenizer, model=model | {"vocab": model["vocab"] | {"new": len(model["vocab"])}})
    assert "vocab.bin and tokenizer.json disagree" in refused(folder)


def test_a_folder_that_transformers_saved_again_needs_our_vocabulary_beside_it(tmp_path, own, transformers, model):
    again = tmp_path / "again"
    transformers.AutoModelForCausalLM.from_pretrained(own).save_pretrained(again)
    transformers.AutoTokenizer.from_pretrained(own).save_pretrained(again)
    assert read_huggingface_model(again).vocab is None
    shutil.copy(own / "vocab.bin", again)
    found = read_huggingface_model(again)
    assert found.vocab.fingerprint == model.vocab.fingerprint
    assert all(torch.equal(weight, model.weights[name]) for name, weight in found.weights.items())
