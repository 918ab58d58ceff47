"""Generation in PyTorch: the reference that the C++ engine is held to.

How a token is chosen, here and in cpp/sampler.cpp:

1. <pad>, <bos> and <unk> are never chosen.
2. Repetition: every token among the last 64 of prompt and answer has its logit divided by `repeat_penalty` if it is
   positive and multiplied with it if not (Keskar et al. 2019).
3. `temperature` 0: the largest logit, the lowest id of equals. Else the logits are divided by the temperature.
4. The `top_k` largest stay (0: all), then, of their softmax, the fewest that together reach `top_p` (Holtzman et al.
   2020), and one of these is drawn.
"""

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lai.data.markup import TO_ENGLISH, TO_HUNGARIAN
from lai.data.vocab import Vocab
from lai.errors import UserError
from lai.model.transformer import KVCache, Transformer

REPEAT_WINDOW = 64


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen; see the module's text.

    Raises:
        UserError: a value is outside its range.
    """

    temperature: float = 0.7
    top_k: int = 40
    top_p: float = 0.9
    repeat_penalty: float = 1.1

    def __post_init__(self) -> None:
        for name, valid, expected in (
            ("temp", self.temperature >= 0, "0 (greedy) or more"),
            ("top-k", self.top_k >= 0, "0 (all tokens) or more"),
            ("top-p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("repeat-penalty", self.repeat_penalty > 0, "above 0; 1 changes nothing"),
        ):
            if not valid:
                value = getattr(self, {"temp": "temperature"}.get(name, name.replace("-", "_")))
                raise UserError(f"--{name} is {value}; it must be {expected}")


def chat_prompt(vocab: Vocab, text: bytes) -> list[int]:
    """The ids of a chat turn: what a person typed, which can never become a tag, and the opening of the answer."""
    return [
        vocab.BOS,
        vocab.tag_id(b"<user>"),
        *vocab.encode_text(text),
        vocab.tag_id(b"</user>"),
        vocab.tag_id(b"<assistant>"),
    ]


def translation_prompt(vocab: Vocab, text: bytes, to_english: bool = False) -> list[int]:
    """The ids of a chat turn that asks for a translation, worded as in the training data."""
    return chat_prompt(vocab, (TO_ENGLISH if to_english else TO_HUNGARIAN) + text)


def raw_prompt(vocab: Vocab, text: bytes) -> list[int]:
    """The ids of a text as it stands, to be continued; tags in it are markup."""
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
) -> Iterator[int]:
    """Yield the ids that follow `prompt` until a `stop` id, `tokens` ids or the end of the context.

    Raises:
        UserError: the prompt does not fit into the context.
    """
    config = network.config
    sampling = sampling or Sampling()
    if len(prompt) > config.max_seq_len:
        raise UserError(
            f"the prompt has {len(prompt)} tokens, the model's context holds {config.max_seq_len}; shorten the prompt"
        )
    device = network.token_embed.weight.device
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    cache = KVCache(config, device=device)
    ids, fresh = list(prompt), list(prompt)
    for _ in range(min(tokens, config.max_seq_len - len(prompt) + 1)):
        logits = network(torch.tensor([fresh], device=device), cache=cache)[0, -1].float().cpu()
        chosen = choose(logits, ids, sampling, generator)
        if chosen in stop:
            return
        ids.append(chosen)
        fresh = [chosen]
        yield chosen
        if len(ids) > config.max_seq_len:
            return


def choose(logits: Tensor, ids: Sequence[int], sampling: Sampling, generator: torch.Generator) -> int:
    """The next id for the logits (vocab_size,) behind `ids`; see the module's text."""
    logits = logits.clone()
    logits[[Vocab.PAD, Vocab.BOS, Vocab.UNK]] = -torch.inf
    recent = torch.tensor(sorted(set(ids[-REPEAT_WINDOW:])))
    seen = logits[recent]
    logits[recent] = torch.where(seen > 0, seen / sampling.repeat_penalty, seen * sampling.repeat_penalty)
    if sampling.temperature == 0:
        return int(logits.argmax())
    kept = min(sampling.top_k, logits.numel()) or logits.numel()
    values, candidates = torch.sort(logits / sampling.temperature, descending=True, stable=True)
    probabilities = torch.softmax(values[:kept], dim=0)
    reached = probabilities.cumsum(0)
    count = int((reached < sampling.top_p).sum()) + 1
    drawn = torch.multinomial(probabilities[:count], 1, generator=generator)
    return int(candidates[drawn])


def stream_text(vocab: Vocab, ids: Iterator[int]) -> Iterator[str]:
    """The text of ids as they come, held back until it is whole UTF-8 characters."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for index in ids:
        if text := decoder.decode(vocab.decode([index])):
            yield text
    if rest := decoder.decode(b"", final=True):
        yield rest
