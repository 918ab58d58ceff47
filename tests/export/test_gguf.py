"""GGUF files as llama.cpp b11549 (xllamacpp 2026.10.11549) reads them, and why each part is as it is.

Where a test changes a part it shows what llama.cpp does without it.
"""

import json

import numpy as np
import pytest
from agreement_texts import agreement_texts
from toy_network import build, toy_model

pytest.importorskip("gguf", reason="the package gguf writes these files; pip install 'lai[export]'")

import gguf

import lai.export.gguf as module
from lai.export import quantize
from lai.export.agreement import CHATS, Questions, predictions
from lai.export.gguf import check_gguf, write_gguf
from lai.export.gguf_vocab import GgufToken, gguf_tokens
from lai.export.lai_file import read_model, write_model
from lai.export.peers import LlamaCpp
from lai.host.errors import UserError
from lai.inference.sampling import chat_prompt, greedy_answers, stop_ids, translation_prompt
from lai.tokenizer.chat import CHAT_TAGS
from lai.tokenizer.train import learn_vocab

USER_DEFINED = 4


def written(path, model, **arguments):
    write_gguf(path, model, **arguments)
    return gguf.GGUFReader(path)


def values(reader):
    return {name: field.contents() for name, field in reader.fields.items()}


@pytest.fixture
def open_file(tmp_path):
    """Writes a model as GGUF and gives llama.cpp with it."""
    pytest.importorskip("xllamacpp", reason="llama.cpp is asked through xllamacpp, which is not installed")

    def start(model, dtype="f32"):
        path = tmp_path / f"{len([*tmp_path.iterdir()])}.gguf"
        write_gguf(path, model, dtype)
        return LlamaCpp(path)

    return start


@pytest.fixture(scope="session")
def llama(model, tmp_path_factory):
    pytest.importorskip("xllamacpp", reason="llama.cpp is asked through xllamacpp, which is not installed")
    path = tmp_path_factory.mktemp("gguf") / "m.gguf"
    write_gguf(path, model, name="toy")
    return LlamaCpp(path)


def test_the_file_has_what_llama_cpp_needs_and_no_default_that_is_wrong(tmp_path, model):
    found = values(written(tmp_path / "m.gguf", model, name="toy"))
    config = model.config
    assert found["general.architecture"] == "llama" and found["general.name"] == "toy"
    assert found["llama.context_length"] == config.max_seq_len
    assert found["llama.embedding_length"] == config.dim
    assert found["llama.block_count"] == config.n_layers
    assert found["llama.feed_forward_length"] == config.hidden_dim
    assert (found["llama.attention.head_count"], found["llama.attention.head_count_kv"]) == (4, 2)
    assert found["llama.attention.layer_norm_rms_epsilon"] == np.float32(1e-6)
    assert found["llama.rope.freq_base"] == 5000.0
    assert found["tokenizer.ggml.model"] == "llama"
    ids = [found[f"tokenizer.ggml.{name}_token_id"] for name in ("padding", "bos", "eos", "unknown", "eot")]
    assert ids == [0, 1, 2, 3, model.vocab.tag_id(b"</assistant>")]
    assert found["tokenizer.ggml.add_space_prefix"] is False
    assert found["tokenizer.ggml.add_bos_token"] is True and found["tokenizer.ggml.add_eos_token"] is False
    assert found["tokenizer.chat_template"].startswith("{{ bos_token }}")


def test_a_tied_output_matrix_is_left_out(tmp_path, small_vocab, model):
    def names(of):
        return {tensor.name for tensor in written(tmp_path / "m.gguf", of).tensors}

    assert "output.weight" not in names(model)
    assert "output.weight" in names(toy_model(small_vocab, tie_embeddings=False))


@pytest.mark.parametrize("dtype", ["f32", "f16", "q8_0", "q4_0"])
def test_matrices_have_the_bytes_of_the_model_file(tmp_path, model, dtype):
    """As llama.cpp's own quantizer rounds them (`gguf.quants`); the tied embedding stays in the dtype, too."""
    tensors = {tensor.name: tensor for tensor in written(tmp_path / "m.gguf", model, dtype=dtype).tensors}
    write_model(tmp_path / "m.bin", model.config, model.weights, model.vocab, dtype)
    stored = read_model(tmp_path / "m.bin").weights
    for ours, theirs in (("token_embed", "token_embd"), ("layers.1.ffn.w_down", "blk.1.ffn_down")):
        weights = stored[f"{ours}.weight"].numpy()
        kind = gguf.GGMLQuantizationType[dtype.upper()]
        assert tensors[f"{theirs}.weight"].tensor_type == kind
        assert tensors[f"{theirs}.weight"].data.tobytes() == quantize.encode(weights, dtype)
        assert gguf.quants.quantize(model.weights[f"{ours}.weight"].numpy(), kind).tobytes() == quantize.encode(
            model.weights[f"{ours}.weight"].numpy(), dtype
        )


def test_the_same_model_gives_the_same_bytes(tmp_path, model, manifest):
    for name in ("a.gguf", "b.gguf"):
        write_gguf(tmp_path / name, model._replace(manifest=manifest), "q8_0", "toy")
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()


def test_the_general_keys_say_where_the_model_comes_from(tmp_path, model, manifest):
    found = values(written(tmp_path / "m.gguf", model._replace(manifest=manifest)))
    assert json.loads(found["general.lai.manifest"]) == manifest
    assert json.loads(found["general.lai.training"]) == {
        "steps": 10, "tokens": 4096, "val_loss": 0.0, "val_loss_floor": 0.0, "turns": 2
    }  # fmt: skip
    assert found["general.license"] == "CC-BY-4.0" and found["general.version"] == "0123abcd"
    assert [found[f"general.dataset.{n}.name"] for n in range(found["general.dataset.count"])] == [
        "stories | hu",
        "mine",
    ]


def test_licences_of_earlier_stages_count(tmp_path, model, manifest):
    earlier = {"name": "a.bin", "licences": ["CC-BY-SA-3.0"], "data": []}
    write_gguf(tmp_path / "m.gguf", model._replace(manifest=manifest | {"parent": earlier}))
    assert values(gguf.GGUFReader(tmp_path / "m.gguf"))["general.license"] == "CC-BY-4.0, CC-BY-SA-3.0"


def test_what_the_file_cannot_hold_is_one_line(tmp_path, small_vocab, model):
    with pytest.raises(UserError, match=r"has SiLU, this model has gelu; --format hf or lai holds it"):
        check_gguf("gelu", "f32")
    with pytest.raises(UserError, match=r"holds no q5_1; its dtypes are f32, f16, bf16, q8_0, q4_0"):
        check_gguf("silu", "q5_1")
    large = model._replace(weights=model.weights | {"token_embed.weight": model.weights["token_embed.weight"] * 1e6})
    with pytest.raises(UserError, match=r"token_embd\.weight cannot be written as f16: a weight is too large"):
        write_gguf(tmp_path / "m.gguf", large, "f16")


def different_ids(llama, vocab, texts):
    return [text for text in texts if llama.encode(text) != vocab.encode_text(text)]


def test_texts_have_our_ids(llama, small_vocab):
    assert different_ids(llama, small_vocab, agreement_texts(300)) == []


@pytest.mark.heavy
def test_ten_thousand_texts_have_our_ids(open_file, shared_data):
    texts = agreement_texts(10_000, shared_data)
    vocab = learn_vocab((text.encode() for text in texts[::2]), 3000)
    assert different_ids(open_file(toy_model(vocab)), vocab, texts) == []


def test_a_literal_word_mark_is_taken_for_a_space(llama, small_vocab):
    """The exception: what is a space to the one is three bytes to the other."""
    assert llama.encode("a\u2581b") == small_vocab.encode_text("a b") != small_vocab.encode_text("a\u2581b")


def test_chats_have_our_ids_and_one_bos(llama, model):
    questions = Questions.of(model.config.vocab_size, model.config.max_seq_len)
    for chat, ids in zip(CHATS, questions.expected(model.vocab, build(model)).chats, strict=True):
        messages = [{"role": role, "content": text} for role, text in chat]
        assert llama.encode_chat(messages) == ids
        answer = llama.post("/v1/chat/completions", {"messages": messages, "max_tokens": 1})
        assert answer["usage"]["prompt_tokens"] == len(ids)


def test_logits_are_ours_within_a_thousandth(llama, model):
    prefixes = [[1], [1, 300, 270], [1, *range(260, 300)]]
    found = np.array([llama.predict(prefix, model.config.vocab_size) for prefix in prefixes])
    assert np.abs(found - predictions(build(model), prefixes)).max() < 1e-3


@pytest.mark.parametrize("pairs", [5, pytest.param(50, marks=pytest.mark.heavy)])
def test_greedy_answers_are_ours(llama, model, pairs):
    """Chats and translations; 100 of 100."""
    vocab, prompts = model.vocab, []
    for number in range(pairs):
        prompts.append(chat_prompt(vocab, f"Hello {number} kutya?".encode()))
        prompts.append(translation_prompt(vocab, f"the {number} dogs".encode(), to_english=number % 2 == 0))
    stop = stop_ids(vocab, raw=False)
    ours = greedy_answers(build(model), prompts, stop=stop, tokens=[12] * len(prompts))
    found = [llama.continue_greedily(prompt, 12) for prompt in prompts]
    assert found == ours


def test_the_server_answers_a_chat_and_stops_at_the_end_of_the_answer(open_file, model):
    end = model.vocab.tag_id(b"</assistant>")
    server = open_file(model)
    body = {"messages": [{"role": "user", "content": "Szia!"}], "max_tokens": 9, "logit_bias": [[end, 100.0]]}
    (choice,) = server.post("/v1/chat/completions", body)["choices"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("stop", "")


def change_tokens(monkeypatch, change):
    """Let files have other tokens than `gguf_tokens` gives."""

    def changed(vocab):
        return [change(index, vocab.tokens[index], token) for index, token in enumerate(gguf_tokens(vocab))]

    monkeypatch.setattr(module, "gguf_tokens", changed)


def test_without_texts_that_never_occur_the_steps_of_tags_come_out(open_file, monkeypatch, model):
    change_tokens(
        monkeypatch,
        lambda index, ours, token: (
            GgufToken(ours.decode(), float(model.vocab.scores[index]), token.kind)
            if token.text.startswith("[unused_")
            else token
        ),
    )
    llama = open_file(model)
    ids = llama.encode("a <use")
    assert ids != model.vocab.encode_text("a <use")
    step = model.vocab.tokens.index(b"<use")
    assert step in ids and llama.post("/detokenize", {"tokens": [step]})["content"] == ""  # the text is lost


def test_a_space_as_a_byte_token_becomes_three_bytes(open_file, monkeypatch, model):
    change_tokens(monkeypatch, lambda index, _, token: GgufToken("<0x20>", -100.0, 6) if index == 36 else token)
    assert open_file(model).encode(" ") == [4 + byte for byte in "\u2581".encode()]


def test_a_tag_that_is_no_control_token_is_shown_to_the_user(open_file, monkeypatch, model):
    change_tokens(
        monkeypatch,
        lambda index, ours, token: GgufToken(token.text, 0.0, USER_DEFINED) if ours in CHAT_TAGS else token,
    )
    end = model.vocab.tag_id(b"</assistant>")
    body = {"prompt": [1, 300], "n_predict": 1, "logit_bias": [[end, 100.0]], "temperature": 0.0}
    assert open_file(model).post("/completion", body)["content"] == "</assistant>"


def leave_out(monkeypatch, *methods):
    for method in methods:
        monkeypatch.setattr(gguf.GGUFWriter, method, lambda *_: None)


def test_without_the_key_a_space_is_put_in_front(open_file, monkeypatch, model):
    leave_out(monkeypatch, "add_add_space_prefix")
    assert open_file(model).encode("the") == model.vocab.encode_text(" the") != model.vocab.encode_text("the")


def test_without_a_template_the_chat_format_is_not_ours(open_file, monkeypatch, model):
    leave_out(monkeypatch, "add_chat_template")
    prompt = open_file(model).post("/apply-template", {"messages": [{"role": "user", "content": "Szia"}]})["prompt"]
    assert "<user>" not in prompt


@pytest.mark.parametrize(
    "method",
    [
        "add_context_length",
        "add_embedding_length",
        "add_block_count",
        "add_feed_forward_length",
        "add_head_count",
        "add_layer_norm_rms_eps",
    ],
)
def test_a_file_without_one_of_six_sizes_is_not_read(open_file, monkeypatch, model, method):
    leave_out(monkeypatch, method)
    with pytest.raises(RuntimeError):
        open_file(model)
