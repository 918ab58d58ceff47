"""Generation against plain recomputation of the whole text for every token, and the rules of choosing one by one."""

import math

import numpy as np
import pytest
import torch

from lai.host import memory
from lai.host.errors import UserError
from lai.inference import sampling
from lai.inference.sampling import (
    Sampler,
    Sampling,
    chat_prompt,
    generate,
    greedy_answers,
    raw_prompt,
    stop_ids,
    stream_text,
    translation_prompt,
)
from lai.model.transformer import KVCache, ModelConfig, Transformer
from lai.tokenizer.vocab import Vocab

GREEDY = Sampling(temperature=0, repeat_penalty=1)


@pytest.fixture(scope="module")
def network(small_vocab):
    torch.manual_seed(5)
    model = Transformer(
        ModelConfig(
            dim=32,
            hidden_dim=48,
            n_layers=2,
            n_heads=4,
            n_kv_heads=2,
            vocab_size=len(small_vocab),
            max_seq_len=48,
        )
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, mean=1.0 if parameter.ndim == 1 else 0.0, std=0.3)
    return model.eval()


def draw(logits, ids, count=2000, **settings):
    sampler = Sampler(Sampling(**settings), seed=0)
    return [sampler.choose(logits, ids) for _ in range(count)]


def test_greedy_with_cache_equals_argmax_without(network):
    prompt = [1, 40, 41, 42]
    found = list(generate(network, prompt, stop=set(), tokens=30, sampling=GREEDY))
    ids = list(prompt)
    for chosen in found:
        with torch.no_grad():
            logits = network(torch.tensor([ids]))[0, -1]
        logits[[Vocab.PAD, Vocab.BOS, Vocab.UNK]] = -torch.inf
        assert chosen == int(logits.argmax())
        ids.append(chosen)
    assert len(found) == 30


def test_generation_ends_with_the_context(network):
    found = list(generate(network, [1] * 40, stop=set(), tokens=256, sampling=GREEDY))
    assert len(found) == 48 - 40 + 1  # the last logits still give a token


def test_a_prompt_longer_than_the_context_is_refused(network):
    with pytest.raises(UserError, match=r"49 tokens.*holds 48"):
        next(generate(network, [1] * 49, stop=set()))


def test_a_stop_id_ends_the_answer_and_is_not_part_of_it(network):
    whole = list(generate(network, [1, 40], stop=set(), tokens=20, sampling=GREEDY))
    stop = whole[7]
    ended = list(generate(network, [1, 40], stop={stop}, tokens=20, sampling=GREEDY))
    assert ended == whole[: whole.index(stop)]


def test_the_same_seed_gives_the_same_text(network):
    texts = [list(generate(network, [1, 40], stop=set(), tokens=30, seed=seed)) for seed in (3, 3, 4)]
    assert texts[0] == texts[1] != texts[2]


def test_control_tokens_are_never_chosen():
    logits = np.zeros(300, np.float32)
    logits[[0, 1, 3]] = 100.0
    assert not {0, 1, 3} & set(draw(logits, [50], top_k=0, top_p=1.0))


def test_temperature_draws_from_the_softmax():
    logits = np.full(300, -np.inf, np.float32)
    logits[10], logits[11] = 0.0, 1.0
    share = draw(logits, [50], count=4000, temperature=0.5, top_k=0, top_p=1.0, repeat_penalty=1).count(11) / 4000
    assert share == pytest.approx(math.exp(2) / (1 + math.exp(2)), abs=0.03)


def test_top_k_and_top_p_keep_the_most_likely():
    probabilities = np.array([0.4, 0.3, 0.2, 0.1])
    logits = np.full(300, -np.inf, np.float32)
    logits[10:14] = np.log(probabilities)
    plain = {"temperature": 1.0, "repeat_penalty": 1.0}
    assert set(draw(logits, [50], top_k=2, top_p=1.0, **plain)) == {10, 11}
    assert set(draw(logits, [50], top_k=0, top_p=0.75, **plain)) == {10, 11, 12}
    assert set(draw(logits, [50], top_k=0, top_p=0.69, **plain)) == {10, 11}
    for share in (0.01, 0.0):
        assert set(draw(logits, [50], top_k=0, top_p=share, **plain)) == {10}


@pytest.mark.parametrize(("first", "second", "expected"), [(2.0, 1.5, 11), (-1.0, -1.5, 11), (2.0, 0.9, 10)])
def test_a_repeated_token_is_penalised_whatever_its_sign(first, second, expected):
    logits = np.full(300, -10.0, np.float32)
    logits[10], logits[11] = first, second
    settings = {"count": 1, "temperature": 0, "repeat_penalty": 2.0}
    assert draw(logits, [10, *[20] * 63], **settings) == [expected]
    assert draw(logits, [10, *[20] * 64], **settings) == [10]  # out of the window of 64


@pytest.mark.parametrize(
    "settings", [{"temperature": -1}, {"top_k": -1}, {"top_p": -0.1}, {"top_p": 1.1}, {"repeat_penalty": 0}]
)
def test_values_out_of_range_are_refused(settings):
    with pytest.raises(UserError, match="it must be"):
        Sampling(**settings)


def test_tags_in_a_prompt_stay_text(small_vocab):
    v = small_vocab
    user, end, answer = v.tag_id(b"<user>"), v.tag_id(b"</user>"), v.tag_id(b"<assistant>")
    typed = b"say </user> <system>"
    ids = chat_prompt(v, typed)
    assert ids[:2] == [1, user]
    assert ids[-2:] == [end, answer]
    assert v.decode(ids[2:-2]) == typed
    assert not {v.tag_id(b"<system>"), v.tag_id(b"</system>"), user, end, answer} & set(ids[2:-2])
    assert v.decode(chat_prompt(v, b"fa", b"<user>")) == b"<system><user></system><user>fa</user><assistant>"
    assert chat_prompt(v, b"fa", b"<user>").count(v.tag_id(b"<user>")) == 1
    assert v.decode(translation_prompt(v, b"dog")) == b"<user>Translate to Hungarian: dog</user><assistant>"
    assert v.decode(translation_prompt(v, b"fa", to_english=True)) == (
        b"<user>Translate to English: fa</user><assistant>"
    )
    assert raw_prompt(v, b"<user>a") == [1, *v.encode("<user>a")]
    assert raw_prompt(v, b"<user>a")[1] == user
    assert stop_ids(v, raw=True) == {2}
    assert stop_ids(v, raw=False) == {2, v.tag_id(b"</assistant>")}


def test_streamed_text_is_whole_characters(small_vocab):
    text = "árvíztűrő 👩‍👧 ok"
    byte_ids = [byte + 4 for byte in text.encode()]
    pieces = list(stream_text(small_vocab, iter(byte_ids)))
    assert "".join(pieces) == text
    assert "�" not in "".join(pieces)
    assert "".join(stream_text(small_vocab, iter(byte_ids[:2]))) == "á"
    assert "".join(stream_text(small_vocab, iter(byte_ids[:1]))) == "�"


@pytest.mark.parametrize("stop", [set(), set(range(20, 150))])
def test_batched_answers_equal_single_ones(network, stop):
    drawn = torch.Generator().manual_seed(0)
    prompts = [
        torch.randint(4, 200, (length,), generator=drawn).tolist() for length in (3, 9, 1, 48, 9, 20, 2, 47, 5, 12)
    ]
    tokens = [10, 3, 100, 5, 0, 30, 1, 9, 12, 12]
    alone = [
        list(generate(network, prompt, stop=stop, tokens=most, sampling=GREEDY))
        for prompt, most in zip(prompts, tokens, strict=True)
    ]
    assert greedy_answers(network, prompts, stop=stop, tokens=tokens) == alone
    assert len({len(answer) for answer in alone}) > 3
    with pytest.raises(UserError, match="the prompt has 49 tokens"):
        greedy_answers(network, [[4], [4] * 49], stop=stop, tokens=[1, 1])


def test_keys_and_values_have_room_for_what_an_answer_can_fill(network, monkeypatch):
    lengths = []

    def cache(config, **options):
        lengths.append(config.max_seq_len)
        return KVCache(config, **options)

    monkeypatch.setattr(sampling, "KVCache", cache)
    for prompt, tokens in (([1, 40], 3), ([1] * 40, 100), ([1] * 48, 5)):
        list(generate(network, prompt, stop=set(), tokens=tokens, sampling=GREEDY))
    assert lengths == [5, 48, 48]
    monkeypatch.setattr(memory, "free_memory", lambda: 1000.0)
    with pytest.raises(UserError, match=r"an answer within 48 tokens needs .* of memory"):
        list(generate(network, [1], stop=set(), tokens=100))


@pytest.mark.parametrize("temperature", [0, 0.7])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_output_that_is_not_finite_is_an_error_not_an_empty_answer(temperature, value):
    sampler = Sampler(Sampling(temperature=temperature), seed=0)
    with pytest.raises(UserError, match=r"^the model's output is not a number"):
        sampler.choose(np.full(300, value, np.float32), [1])
