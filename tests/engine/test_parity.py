"""The engine against PyTorch: logits, greedy text, and the loss of a file."""

import math
import platform

import numpy as np
import pytest
import torch
from engine_program import random_network

from lai.data.tokens.token_file import encode_documents
from lai.export.lai_file import read_model, write_model
from lai.model.transformer import KVCache, ModelConfig
from lai.tokenizer.chat import parse_line, render
from lai.tokenizer.folding import fold_documents
from lai.tokenizer.vocab import Vocab

TEXT = "hello world <user>the thing</user> árvíztűrő tükörfúrógép 🙂 " * 3
SHAPES = {
    "plain": {},
    "grouped": {"n_kv_heads": 2},
    "one-kv-head-gelu-untied": {"n_kv_heads": 1, "activation": "gelu", "tie_embeddings": False},
    "wide-heads": {"n_heads": 1, "n_kv_heads": 1, "rope_theta": 500.0, "norm_eps": 1e-3},
    "odd-layers": {"dim": 96, "hidden_dim": 32, "n_heads": 6, "n_kv_heads": 3, "n_layers": 3},
}
# Relative to the largest logit. Quantized weights are multiplied with int16 activations. The KV cache is int16 for all
# dtypes but f32.
TOLERANCE = {"f32": 1e-4, "f16": 5e-4, "q8_0": 1e-3, "q4_0": 1e-3}
KERNELS = ["portable", "neon"] if platform.machine() in ("aarch64", "arm64") else ["portable", "avx2", "avx512", "zen4"]


def skip_unless_supported(engine, kernels):
    if kernels not in engine.kernel_sets():
        pytest.skip(f"this machine cannot run the {kernels} kernels")


def torch_logits(model, ids):
    with torch.inference_mode():
        return model.build()(torch.tensor([ids]))[0].numpy()


def engine_logits(engine, path, tmp_path, *arguments, kernels=None):
    result = engine.json(
        *("-m", path, "--raw", "-p", TEXT, "--tokens", "0", "--logits", tmp_path / "logits"),
        *arguments,
        kernels=kernels,
    )
    ids = result["prompt_ids"]
    return ids, np.fromfile(tmp_path / "logits", np.float32).reshape(len(ids), -1)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kernels", KERNELS)
def test_logits_equal_pytorch(engine, make_model, tmp_path, kernels, shape, dtype):
    skip_unless_supported(engine, kernels)
    path, model = make_model(dtype, **SHAPES[shape])
    ids, logits = engine_logits(engine, path, tmp_path, "--threads", "2", kernels=kernels)
    assert ids == [Vocab.BOS, *model.vocab.encode(TEXT)]
    expected = torch_logits(model, ids)
    assert np.abs(logits - expected).max() <= TOLERANCE[dtype] * np.abs(expected).max()


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("sizes", [(20, 10, 2), (36, 33, 1), (2, 1, 1), (74, 17, 37)], ids=str)
@pytest.mark.parametrize("dtype", ["f32", "f16"])
def test_logits_equal_pytorch_for_widths_that_no_vector_divides(engine, make_model, tmp_path, kernels, dtype, sizes):
    skip_unless_supported(engine, kernels)
    dim, hidden_dim, n_heads = sizes
    path, model = make_model(dtype, dim=dim, hidden_dim=hidden_dim, n_heads=n_heads, n_kv_heads=1)
    ids, logits = engine_logits(engine, path, tmp_path, kernels=kernels)
    expected = torch_logits(model, ids)
    assert np.abs(logits - expected).max() <= TOLERANCE[dtype] * np.abs(expected).max()


@pytest.mark.parametrize("kernels", KERNELS)
def test_logits_equal_pytorch_for_float16_weights_of_all_magnitudes(engine, vocab, tmp_path, kernels):
    # Some kernels store float16 weights as f14. Rows may differ in magnitude, but a weight of 200 is too large.
    skip_unless_supported(engine, kernels)
    config = ModelConfig(
        dim=64, hidden_dim=160, n_layers=2, n_heads=4, n_kv_heads=4, vocab_size=len(vocab), max_seq_len=256
    )
    network = random_network(config)
    with torch.no_grad():
        layers = network.layers
        layers[0].ffn.w_up.weight *= torch.logspace(-4, 1, config.hidden_dim)[:, None]
        layers[1].ffn.w_down.weight *= torch.logspace(-4, 1, config.dim)[:, None]
        layers[1].ffn.w_gate.weight[3, 5] = 200
    write_model(tmp_path / "m.bin", config, network.state_dict(), vocab, "f16")
    ids, logits = engine_logits(engine, tmp_path / "m.bin", tmp_path, kernels=kernels)
    expected = torch_logits(read_model(tmp_path / "m.bin"), ids)
    assert np.abs(logits - expected).max() <= TOLERANCE["f16"] * np.abs(expected).max()
    weights = engine.json("-m", tmp_path / "m.bin", "--info", kernels=kernels)["weight_bytes"]
    whole = 2 * sum(parameter.numel() for parameter in network.parameters() if parameter.ndim == 2)
    assert weights < 0.95 * whole if kernels == "zen4" else weights >= whole


def greedy(model, prompt, count):
    network = model.build()
    cache = KVCache(network.config)
    ids, fresh = [], prompt
    with torch.inference_mode():
        while len(ids) < count:
            logits = network(torch.tensor([fresh]), cache=cache)[0, -1]
            logits[[Vocab.PAD, Vocab.BOS, Vocab.UNK]] = -torch.inf
            fresh = [int(logits.argmax())]
            ids += fresh
    return ids


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_200_greedy_tokens_equal_pytorch(engine, make_model, dtype):
    path, model = make_model(dtype, seed=1, n_kv_heads=2)
    result = engine.json(
        *("-m", path, "--raw", "-p", "hello", "--temp", "0", "--repeat-penalty", "1", "--tokens", "200")
    )
    assert result["ids"] == greedy(model, [Vocab.BOS, *model.vocab.encode("hello")], 200)
    assert result["stop"] == "tokens"


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_any_number_of_threads_gives_the_same_bits(engine, make_model, tmp_path, dtype):
    path, _ = make_model(dtype, dim=192, hidden_dim=416)
    _, one = engine_logits(engine, path, tmp_path, "--threads", "1")
    for threads in ("2", "3", "8"):
        _, many = engine_logits(engine, path, tmp_path, "--threads", threads)
        assert np.array_equal(one, many)


@pytest.mark.parametrize("unfolded", [False, True])
def test_perplexity_equals_pytorch(engine, make_model, tmp_path, unfolded):
    path, model = make_model(max_seq_len=32, unfolded=unfolded)
    lines = [
        b"hello world",
        b"",
        b"<user>the <user thing</user> <assistant>an answer</assistant>",
        b"not <user>markup</user>",
        b"<user>a <system> inside</user>",
        "árvíztűrő tükörfúrógép, ".encode() * 4,
        b" \t ",
        "hello the\u2028world\u2028".encode(),
        "<user>„a\u0301\u200b\u00a0 b”</user><assistant>\u2028 – c</assistant>".encode(),
        "\u00ad\u200b".encode(),
        "<user>\u00ad</user><assistant> </assistant>".encode(),
    ]
    file = tmp_path / "text.txt"
    file.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(lines) + b"\n")
    documents = [parse_line(line) for line in lines if line.strip()]
    if not unfolded:
        documents = fold_documents(documents)
        assert len(documents) == 7
    tokens, lengths = encode_documents(documents, model.vocab)
    network, nats, count, start = model.build(), 0.0, 0, 0
    for length in lengths.tolist():
        ids = torch.from_numpy(tokens[start : start + length].astype(np.int64))
        start += length
        for begin in range(0, length - 1, 32):
            window = ids[begin : begin + 33]
            with torch.inference_mode():
                logits = network(window[None, :-1])[0].double()
            nats += float(torch.nn.functional.cross_entropy(logits, window[1:], reduction="sum"))
            count += len(window) - 1
    bits = nats / math.log(2) / sum(len(render(document)) for document in documents)
    result = engine.json("-m", path, "--perplexity", file)
    assert result["tokens"] == count and result["documents"] == len(documents)
    assert result["nats_per_token"] == pytest.approx(nats / count, rel=1e-5)
    assert result["bits_per_byte"] == pytest.approx(bits, rel=1e-5)


def test_an_unknown_kernel_set_is_refused(engine, make_model):
    path, _ = make_model()
    assert "portable" in engine.error("-m", path, "--info", kernels="sse9")
