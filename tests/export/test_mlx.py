"""Hugging Face folders as mlx-lm 0.32.2 reads them (mlx 0.32.4, its CPU build for Linux)."""

import numpy as np
import pytest
from agreement_texts import agreement_texts
from toy_network import build

from lai.export.agreement import CHATS, Questions
from lai.export.huggingface import write_huggingface
from lai.inference.sampling import chat_prompt, greedy_answers, stop_ids, translation_prompt


@pytest.fixture(scope="session")
def loaded(model, tmp_path_factory):
    mlx_lm = pytest.importorskip("mlx_lm", reason="it reads the folders back, and is not installed")
    folder = tmp_path_factory.mktemp("mlx") / "toy.hf"
    folder.mkdir()
    write_huggingface(folder, model, name="toy")
    return mlx_lm.load(str(folder))


def test_ids_of_texts_and_chats_are_ours(loaded, model):
    _, tokenizer = loaded
    for text in agreement_texts(50):
        assert tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True) == (
            model.vocab.encode_text(text)
        )
    expected = Questions.of(model.config.vocab_size, model.config.max_seq_len).expected(model.vocab, build(model))
    for chat, ids in zip(CHATS, expected.chats, strict=True):
        messages = [{"role": role, "content": text} for role, text in chat]
        assert tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False) == ids


def test_logits_are_ours_within_a_ten_thousandth(loaded, model):
    import mlx.core as mx

    network, _ = loaded
    questions = Questions.of(model.config.vocab_size, model.config.max_seq_len)
    expected = questions.expected(model.vocab, build(model)).logits
    for prefix, ours in zip(questions.prefixes, expected, strict=True):
        logits = np.array(network(mx.array([prefix]))[0, -1], np.float64)
        found = logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
        assert np.abs(found - ours).max() < 1e-4


def test_greedy_answers_are_ours_and_end_at_the_end_of_the_answer(loaded, model):
    from mlx_lm import stream_generate

    network, tokenizer = loaded
    vocab = model.vocab
    prompts = [chat_prompt(vocab, f"Hello {number} kutya?".encode()) for number in range(10)]
    prompts += [translation_prompt(vocab, f"the {number} dogs".encode(), to_english=False) for number in range(10)]
    stop = stop_ids(vocab, raw=False)
    assert set(stop) >= tokenizer.eos_token_ids == {vocab.EOS, vocab.tag_id(b"</assistant>")}
    ours = greedy_answers(build(model), prompts, stop=stop, tokens=[12] * len(prompts))
    for prompt, expected in zip(prompts, ours, strict=True):
        found = [piece.token for piece in stream_generate(network, tokenizer, prompt, max_tokens=12)]
        assert [index for index in found if index not in stop] == expected
