"""Whether a program that reads an export has the ids and the predictions that LAi has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lai.host.errors import UserError
from lai.inference.sampling import chat_turn, system_turn
from lai.model.transformer import Transformer
from lai.tokenizer.chat import TO_ENGLISH, TO_HUNGARIAN
from lai.tokenizer.vocab import Vocab

TEXTS = (
    "",
    " ",
    "   two  and   three    spaces ",
    "Hello, how are you? It's 12:30, 1984.",
    "Jó reggelt! Árvíztűrő tükörfúrógép, ÁRVÍZTŰRŐ TÜKÖRFÚRÓGÉP.",
    "The dog saw a cat.\nA kutya látott egy macskát.\n\n\ttab\r\n",
    "<user>typed</user> <assistant> </system <use <us <u </ <pad><bos><eos><unk> <0x41> [unused_260]",
    "def f(x):\n    return {'a': x ** 2, \"b\": [1, 2]}  # ok\n",
    "Cafe\u0301 e\u0301s o\u030bsz",
    "👩‍👩‍👧 日本語 Ελλάδα 🇭🇺 – „idézet” … ½ €",
    "\x01\x7f\u00a0\u2028\ufeff\U0010ffff",
)
"""What programs are asked to encode; no U+2581, which llama.cpp takes for a space."""

CHATS: tuple[tuple[tuple[str, str], ...], ...] = (
    (("user", "Hello, how are you?"),),
    (
        ("system", "Be brief."),
        ("user", "Hol van a macska?"),
        ("assistant", "A házban."),
        ("user", " És <use? "),
    ),
    (("user", f"{TO_HUNGARIAN.decode()}the dog"),),
    (("user", f"{TO_ENGLISH.decode()}a kutya\na ló"),),
)
"""Turns of conversations, whose last answer is asked for."""

_LOGITS_AT = (1, 2, 9, 24)
"""Behind how many tokens predictions are compared; fewer where the context is shorter."""


@dataclass(frozen=True)
class Answers:
    """What a program makes of the questions: `Questions.of` says which.

    Attributes:
        program: its name and version.
        texts: the ids of each text, in which tags are literal.
        chats: the ids of each conversation up to the opening of the answer, `<bos>` included.
        logits: (prefixes, vocab_size), the logarithms of the next token's probabilities.
    """

    program: str
    texts: Sequence[Sequence[int]]
    chats: Sequence[Sequence[int]]
    logits: NDArray[np.float32]

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> "Answers":
        """The answers of another process."""
        return cls(found["program"], found["texts"], found["chats"], np.array(found["logits"], np.float32))


@dataclass(frozen=True)
class Questions:
    """What is asked: texts and chats to encode, and prefixes of ids to continue."""

    texts: Sequence[str]
    chats: Sequence[Sequence[tuple[str, str]]]
    prefixes: Sequence[Sequence[int]]

    @classmethod
    def of(cls, vocab_size: int, context: int) -> "Questions":
        """The questions for a model; the prefixes are drawn, with `<bos>` before them."""
        drawn = torch.randint(4, vocab_size, (max(_LOGITS_AT),), generator=torch.Generator().manual_seed(0)).tolist()
        lengths = sorted({min(length, context) for length in _LOGITS_AT})
        return cls(TEXTS, CHATS, [[Vocab.BOS, *drawn][:length] for length in lengths])

    def expected(self, vocab: Vocab, network: Transformer) -> Answers:
        """What LAi answers."""
        return Answers(
            "LAi",
            [vocab.encode_text(text) for text in self.texts],
            [_chat_ids(vocab, chat) for chat in self.chats],
            predictions(network, self.prefixes),
        )


@torch.inference_mode()
def predictions(network: Transformer, prefixes: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """The logarithms of the next token's probabilities behind each prefix, (prefixes, vocab_size)."""
    rows = [network(torch.tensor([prefix]))[0, -1].float().log_softmax(0) for prefix in prefixes]
    return torch.stack(rows).numpy()


def difference(questions: Questions, expected: Answers, found: Answers, limit: float) -> float:
    """The largest difference of two programs' predictions, as a share of the largest distance from their mean.

    Raises:
        UserError: an id differs, or predictions differ by more than `limit`.
    """
    asked = (*zip(questions.texts, expected.texts, found.texts, strict=True),)
    asked += (*zip(map(repr, questions.chats), expected.chats, found.chats, strict=True),)
    for text, ours, theirs in asked:
        if list(ours) != list(theirs):
            place = next((n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), "the end")
            raise UserError(f"{found.program} reads other ids from {text!r}: they differ at {place}")
    spread = np.abs(expected.logits - expected.logits.mean()).max()
    result = float(np.abs(expected.logits - found.logits).max() / spread)
    if not result <= limit:
        raise UserError(
            f"{found.program} computes other logits: they differ by {result:.1e} of the largest, expected is up to "
            f"{limit:.0e}"
        )
    return result


def _chat_ids(vocab: Vocab, chat: Sequence[tuple[str, str]]) -> list[int]:
    ids = [vocab.BOS]
    for role, text in chat:
        match role:
            case "system":
                ids += system_turn(vocab, text.encode(), fold=False)
            case "user":
                ids += chat_turn(vocab, text.encode(), fold=False)
            case _:
                ids += [*vocab.encode_text(text), vocab.tag_id(b"</assistant>")]
    return ids
