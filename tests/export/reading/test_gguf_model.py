"""GGUF files, LAi's own and other programs', as LAi's network."""

import numpy as np
import pytest
import torch

pytest.importorskip("gguf", reason="the package gguf writes these files; pip install 'lai[export]'")

import gguf
from toy_network import toy_model

from lai.export.gguf import write_gguf
from lai.export.lai_file import read_model, write_model
from lai.export.reading.gguf_model import read_gguf_model
from lai.export.reading.stored import NO_TEXT
from lai.host.errors import UserError


@pytest.mark.parametrize("tied", [True, False])
def test_our_file_comes_back_exactly(tmp_path, small_vocab, manifest, tied):
    model = toy_model(small_vocab, tie_embeddings=tied)
    write_gguf(tmp_path / "m.gguf", model._replace(manifest=manifest))
    found = read_gguf_model(tmp_path / "m.gguf")
    expected = model.config.to_dict() | {"norm_eps": float(np.float32(model.config.norm_eps))}
    assert found.config.to_dict() == expected and found.manifest == manifest and found.training == model.training
    assert found.vocab.fingerprint == model.vocab.fingerprint and found.dtype == "f32"
    assert found.weights.keys() == model.weights.keys()
    assert all(torch.equal(weight, model.weights[name]) for name, weight in found.weights.items())


@pytest.mark.parametrize("dtype", ["f16", "q8_0", "q4_0"])
def test_rounded_weights_are_those_of_the_model_file(tmp_path, model, dtype):
    write_gguf(tmp_path / "m.gguf", model, dtype)
    write_model(tmp_path / "m.bin", model.config, model.weights, model.vocab, dtype)
    found, expected = read_gguf_model(tmp_path / "m.gguf"), read_model(tmp_path / "m.bin")
    assert found.dtype == dtype and found.is_rounded == (dtype != "f16")
    assert all(torch.equal(weight, expected.weights[name]) for name, weight in found.weights.items())


def test_bfloat16_is_read(tmp_path, model):
    write_gguf(tmp_path / "m.gguf", model, "bf16")
    found = read_gguf_model(tmp_path / "m.gguf").weights["token_embed.weight"]
    assert torch.equal(found, model.weights["token_embed.weight"].bfloat16().float())


def permuted(weights, heads):
    """As llama.cpp's converter orders the rows of queries and keys."""
    rows = weights.reshape(heads, 2, weights.shape[0] // heads // 2, weights.shape[1])
    return rows.swapaxes(1, 2).reshape(weights.shape)


def write_foreign(path, network, skip=(), extra=(), **values):
    """A GGUF file as llama.cpp's converter makes it of a folder, without our keys."""
    config, writer = network.config, gguf.GGUFWriter(path, "llama")
    settings = {
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
    } | values
    for key, value in settings.items():
        if key in skip:
            continue
        (writer.add_string if isinstance(value, str) else writer.add_uint32)(f"llama.{key}", value)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"t{number}" for number in range(config.vocab_size)])
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, weights in network.state_dict().items():
        weights = weights.numpy()
        if name.endswith("q_proj.weight"):
            weights = permuted(weights, config.num_attention_heads)
        if name.endswith("k_proj.weight"):
            weights = permuted(weights, config.num_key_value_heads)
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        writer.add_tensor(names.get_name(name, (".weight",)), np.ascontiguousarray(weights))
    for name in extra:
        writer.add_tensor(name, np.ones(8, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("settings", [{}, {"tie_word_embeddings": True, "num_key_value_heads": 4}], ids=str)
def test_a_llama_of_another_program_predicts_what_transformers_does(tmp_path, save_llama, settings):
    theirs = save_llama(tmp_path / "hf", **settings)
    found = read_gguf_model(write_foreign(tmp_path / "m.gguf", theirs))
    ids = torch.randint(300, (2, 40), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        difference = (found.build()(ids) - theirs(ids).logits).abs().max()
    assert difference < 1e-5 and found.vocab is None
    with pytest.raises(UserError, match=NO_TEXT):
        found.with_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rope.scaling.type": "linear"}, "llama.rope.scaling.type 'linear'; LAi's network has 'none'"),
        ({"expert_count": 8}, "llama.expert_count 8; LAi's network has 0"),
        ({"attention.key_length": 32}, "llama.attention.key_length 32; LAi's network has dim / n_heads, 16"),
        ({"feed_forward_length": 128}, "blk.0.ffn_gate.weight has the shape [96, 64]"),
        ({"skip": ("embedding_length",)}, "llama.embedding_length None; expected a number"),
        ({"attention.head_count": 5}, "has impossible settings"),
        ({"extra": ("rope_freqs.weight",)}, "rope_freqs.weight, a scaling of rotary positions"),
        ({"extra": ("blk.0.attn_q.bias",)}, "has the tensor blk.0.attn_q.bias, for which LAi's network has no place"),
    ],
    ids=str,
)
def test_what_lai_s_network_cannot_hold_is_refused_by_name(tmp_path, save_llama, change, words):
    write_foreign(tmp_path / "m.gguf", save_llama(tmp_path / "hf"), **change)
    with pytest.raises(UserError) as raised:
        read_gguf_model(tmp_path / "m.gguf")
    assert words in str(raised.value) and "\n" not in str(raised.value)


def test_another_architecture_is_refused_by_name(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "gemma2")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(UserError, match="has the architecture 'gemma2'; LAi's network holds 'llama'"):
        read_gguf_model(tmp_path / "m.gguf")


def test_a_changed_vocabulary_is_refused(tmp_path, model, monkeypatch):
    from lai.export import gguf as module

    tokens = module.gguf_tokens(model.vocab)
    monkeypatch.setattr(module, "gguf_tokens", lambda _: [*tokens[:-1], tokens[-1]._replace(text="other")])
    write_gguf(tmp_path / "m.gguf", model)
    with pytest.raises(UserError, match=r"tokenizer\.lai\.vocab and tokenizer\.ggml\.tokens disagree"):
        read_gguf_model(tmp_path / "m.gguf")
