"""Generation in PyTorch: the reference that the C++ engine is held to.

How a token is chosen, here and in cpp/engine/sampler.hpp, to the last bit:

1. Repetition: of the last 64 tokens of prompt and answer, each distinct one's logit is divided by `repeat_penalty` if
   it is positive and multiplied with it if not (Keskar et al. 2019), in float32.
2. <pad>, <bos> and <unk> are never chosen.
3. `temperature` 0: the largest logit, the lowest id of equals. Nothing random is drawn.
4. The candidates are the `top_k` tokens (0: all) with the largest logits, equals by rising id, each with the weight
   exp((its logit - the largest) / temperature), in float64.
5. Of these stay the fewest first ones whose weights reach `top_p` of the sum of all (Holtzman et al. 2020).
6. With u from [0, 1): the first one at which the running sum of weights is above u times their sum. u is the upper 53
   bits of the next splitmix64 number (Steele, Lea & Flood 2014), whose state begins as the seed.
"""

import codecs
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from lai.host.errors import UserError
from lai.host.memory import check_memory
from lai.model.transformer import KVCache, Transformer
from lai.tokenizer.chat import TO_ENGLISH, TO_HUNGARIAN
from lai.tokenizer.folding import fold_text
from lai.tokenizer.vocab import Vocab

REPEAT_WINDOW = 64
_NEVER_CHOSEN = (Vocab.PAD, Vocab.BOS, Vocab.UNK)
_UINT64 = (1 << 64) - 1


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen; see the module's docstring. The ranges are the engine's.

    Raises:
        UserError: a value is outside its range.
    """

    temperature: float = 0.7
    top_k: int = 40
    top_p: float = 0.9
    repeat_penalty: float = 1.1

    def __post_init__(self) -> None:
        for name, valid, expected in (
            ("temp", 0 <= self.temperature <= 100, "from 0 (greedy) to 100"),
            ("top-k", self.top_k >= 0, "0 (all tokens) or more"),
            ("top-p", 0 <= self.top_p <= 1, "from 0 (one token) to 1 (all)"),
            ("repeat-penalty", 0.01 <= self.repeat_penalty <= 100, "from 0.01 to 100; 1 changes nothing"),
        ):
            if not valid:
                value = getattr(self, {"temp": "temperature"}.get(name, name.replace("-", "_")))
                raise UserError(f"--{name} is {value}; it must be {expected}")


def chat_turn(vocab: Vocab, text: bytes, fold: bool = True) -> list[int]:
    """The ids of a user turn and of the opening of the answer; tags in `text` are encoded as literal text.

    Args:
        fold: fold the text (`lai.tokenizer.folding`); False for a model whose text was not (`TrainingRecord.unfolded`).
    """
    return [
        vocab.tag_id(b"<user>"),
        *vocab.encode_text(fold_text(text) if fold else text),
        vocab.tag_id(b"</user>"),
        vocab.tag_id(b"<assistant>"),
    ]


def system_turn(vocab: Vocab, text: bytes, fold: bool = True) -> list[int]:
    """The ids of a system prompt, which stands before all other turns; `fold` as `chat_turn`.

    Raises:
        UserError: the text is blank.
    """
    folded = fold_text(text)
    if not folded:
        raise UserError("the system prompt is empty; give a text, or leave out --system")
    return [vocab.tag_id(b"<system>"), *vocab.encode_text(folded if fold else text), vocab.tag_id(b"</system>")]


def chat_prompt(vocab: Vocab, text: bytes, system: bytes | None = None, fold: bool = True) -> list[int]:
    """The ids of a document up to the opening of its first answer: a system prompt or none, and a user turn."""
    start = [] if system is None else system_turn(vocab, system, fold)
    return [vocab.BOS, *start, *chat_turn(vocab, text, fold)]


def translation_request(text: bytes, to_english: bool = False, fold: bool = True) -> bytes:
    """The user turn that asks for a translation, worded as in the training data; `fold` as `chat_turn`."""
    return (TO_ENGLISH if to_english else TO_HUNGARIAN) + (fold_text(text) if fold else text)


def translation_prompt(vocab: Vocab, text: bytes, to_english: bool = False, fold: bool = True) -> list[int]:
    """The ids of a chat turn that asks for a translation."""
    return chat_prompt(vocab, translation_request(text, to_english, fold), fold=False)


def raw_prompt(vocab: Vocab, text: bytes) -> list[int]:
    """The ids of a text that the model continues; tags in it become special tokens."""
    return [vocab.BOS, *vocab.encode(text)]


def stop_ids(vocab: Vocab, raw: bool) -> set[int]:
    """The ids that end an answer."""
    return {vocab.EOS} if raw else {vocab.EOS, vocab.tag_id(b"</assistant>")}


@torch.inference_mode()
def generate(
    network: Transformer,
    prompt: Sequence[int],
    *,
    stop: set[int],
    tokens: int = 256,
    sampling: Sampling | None = None,
    seed: int | None = None,
    sampler: "Sampler | None" = None,
) -> Iterator[int]:
    """Yield the ids that follow `prompt` until a `stop` id, `tokens` ids or the end of the context.

    Args:
        sampler: the sampler that has chosen the earlier answers of a chat, instead of `sampling` and `seed`.

    Raises:
        UserError: the prompt does not fit into the context, the keys and values do not fit into the memory, or the
            logits are not finite.
    """
    config = network.config
    check_fits(prompt, config.max_seq_len)
    device = network.token_embed.weight.device
    sampler = sampler or new_sampler(sampling or Sampling(), seed)
    # Of the file's context only what this answer can fill: a file may claim 16 million tokens.
    length = min(config.max_seq_len, len(prompt) + tokens)
    check_memory(8 * config.n_layers * config.kv_dim * length, f"an answer within {length:,} tokens")
    cache = KVCache(replace(config, max_seq_len=length), device=device)
    ids, fresh = list(prompt), list(prompt)
    for _ in range(min(tokens, config.max_seq_len - len(prompt) + 1)):
        logits = network(torch.tensor([fresh], device=device), cache=cache)[0, -1]
        chosen = sampler.choose(logits.float().cpu().numpy(), ids)
        if chosen in stop:
            return
        ids.append(chosen)
        fresh = [chosen]
        yield chosen
        if len(ids) > config.max_seq_len:
            return


@torch.inference_mode()
def greedy_answers(
    network: Transformer, prompts: Sequence[Sequence[int]], *, stop: set[int], tokens: Sequence[int]
) -> list[list[int]]:
    """What `generate` yields for each prompt at temperature 0 without penalty, computed for all prompts at once.

    Every prompt begins at position 0. While a longer prompt is not over, its next id is taken from it, not chosen.

    Args:
        prompts: the ids of each prompt; lengths may differ.
        tokens: the maximum number of tokens of each answer.

    Raises:
        UserError: a prompt does not fit into the context.
    """
    config = network.config
    for prompt in prompts:
        check_fits(prompt, config.max_seq_len)
    device = network.token_embed.weight.device
    ends = [min(len(prompt) + most, config.max_seq_len + 1) for prompt, most in zip(prompts, tokens, strict=True)]
    cache = KVCache(replace(config, max_seq_len=max(ends)), len(prompts), device)
    rows = [list(prompt) for prompt in prompts]
    going = {row for row, end in enumerate(ends) if len(rows[row]) < end}
    done = min(len(prompt) for prompt in prompts)
    fresh = [row[:done] for row in rows]
    while going:
        logits = network(torch.tensor(fresh, device=device), cache=cache)[:, -1].float().cpu().numpy()
        logits[:, list(_NEVER_CHOSEN)] = -np.inf
        for row, chosen in enumerate(logits.argmax(axis=1).tolist()):
            if row not in going or len(rows[row]) > done:
                continue
            if chosen not in stop:
                rows[row].append(chosen)
            if chosen in stop or len(rows[row]) == ends[row]:
                going.remove(row)
        fresh = [
            [ids[done] if done < len(ids) else Vocab.PAD] for ids in rows
        ]  # what follows an answer's end is ignored
        done += 1
    return [ids[len(prompt) :] for ids, prompt in zip(rows, prompts, strict=True)]


def check_fits(prompt: Sequence[int], context: int) -> None:
    """Refuse a prompt that is longer than the context.

    Raises:
        UserError: it is.
    """
    if len(prompt) > context:
        raise UserError(f"the prompt has {len(prompt)} tokens, the model's context holds {context}; shorten the prompt")


class Sampler:
    """Chooses tokens one after another; see the module's docstring."""

    def __init__(self, sampling: Sampling, seed: int) -> None:
        self._sampling = sampling
        self._state = seed & _UINT64

    def choose(self, logits: NDArray[np.float32], ids: Sequence[int]) -> int:
        """The next id for the logits (vocab_size,) after `ids`.

        Raises:
            UserError: the largest logit is not finite; the engine says the same.
        """
        settings = self._sampling
        logits = logits.copy()
        recent = np.unique(np.array(ids[-REPEAT_WINDOW:], dtype=np.int64))
        penalty = np.float32(settings.repeat_penalty)
        logits[recent] = np.where(logits[recent] > 0, logits[recent] / penalty, logits[recent] * penalty)
        logits[list(_NEVER_CHOSEN)] = -np.inf
        if not np.isfinite(np.fmax.reduce(logits)):
            raise UserError("the model's output is not a number: its weights are damaged or its training diverged")
        temperature = np.float32(settings.temperature)
        if temperature == 0:
            return int(logits.argmax())
        order = np.argsort(-logits, kind="stable")[: settings.top_k or None]
        falling = logits[order].astype(np.float64)
        weights = np.exp((falling - falling[0]) / float(temperature))
        sums = weights.cumsum()
        kept = 1 + int((sums < float(np.float32(settings.top_p)) * sums[-1]).sum())
        sums = sums[:kept]
        return int(order[min(int((sums <= self._uniform() * sums[-1]).sum()), len(sums) - 1)])

    def _uniform(self) -> float:
        self._state = (self._state + 0x9E3779B97F4A7C15) & _UINT64
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _UINT64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _UINT64
        return ((z ^ (z >> 31)) >> 11) * 2.0**-53


def new_sampler(sampling: Sampling, seed: int | None = None) -> Sampler:
    """A sampler; without a seed, with a random one."""
    return Sampler(sampling, secrets.randbits(64) if seed is None else seed)


def stream_text(vocab: Vocab, ids: Iterator[int]) -> Iterator[str]:
    """The text of ids as they come, in whole UTF-8 characters."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for index in ids:
        if text := decoder.decode(vocab.decode([index])):
            yield text
    if rest := decoder.decode(b"", final=True):
        yield rest
