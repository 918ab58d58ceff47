"""Exact answers by turn: conversations with known answers, asked question by question.

The history of a question has the model's own answers, as in a chat.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from lai.inference.conversation import Conversation
from lai.inference.evaluate import fastest_threads, greedy_command, is_right, longest_answer, run_engine, torch_threads
from lai.inference.sampling import greedy_answers, stop_ids, stream_text
from lai.model.record import TrainingRecord
from lai.model.transformer import Transformer
from lai.tokenizer.chat import Document, Turn
from lai.tokenizer.vocab import Vocab

REPORTED = (1, 2, 4, 8)
"""The turns that are reported."""

_TOKENS = 128
_AT_ONCE = 32  # conversations that are answered together

Answers = list[bytes]
"""The answers to a conversation's questions, in order."""


@dataclass(frozen=True, slots=True)
class TurnScore:
    """The number of conversations that have a turn, and of exactly right answers there."""

    turn: int
    conversations: int
    exact: int


def turn_scores(conversations: Sequence[Document], answers: Sequence[Answers]) -> list[TurnScore]:
    """The scores of the reported turns that any conversation has."""
    found = []
    for turn in REPORTED:
        pairs = [
            (right[turn - 1], given[turn - 1])
            for right, given in zip(map(_right_answers, conversations), answers, strict=True)
            if len(right) >= turn
        ]
        if pairs:
            found.append(TurnScore(turn, len(pairs), sum(is_right(right, given) for right, given in pairs)))
    return found


def describe(scores: Iterable[TurnScore]) -> str:
    """The scores as part of a sentence."""
    return ", ".join(f"turn {score.turn} {score.exact / score.conversations:.1%}" for score in scores)


def conversations_of_pytorch(
    network: Transformer,
    vocab: Vocab,
    training: TrainingRecord,
    conversations: Iterable[Document],
    tokens: int = _TOKENS,
) -> Iterator[Answers]:
    """The greedy answers to each conversation's questions.

    Args:
        training: the model's record, which says how many turns it has seen.
        tokens: the maximum number of tokens of an answer.
    """
    stop = stop_ids(vocab, raw=False)
    waiting = iter(conversations)
    with torch_threads(fastest_threads(network)):
        while batch := list(islice(waiting, _AT_ONCE)):
            limits = [_limit(conversation, tokens) for conversation in batch]
            chats = [
                Conversation(vocab, network.config.max_seq_len, training, limit, _system(conversation))
                for conversation, limit in zip(batch, limits, strict=True)
            ]
            answers: list[Answers] = [[] for _ in batch]
            for turn in range(max(len(_questions(conversation)) for conversation in batch)):
                rows = [row for row, conversation in enumerate(batch) if len(_questions(conversation)) > turn]
                prompts = [chats[row].ask(_questions(batch[row])[turn])[0] for row in rows]
                given = greedy_answers(network, prompts, stop=stop, tokens=[limits[row] for row in rows])
                for row, ids in zip(rows, given, strict=True):
                    chats[row].answered(ids)
                    answers[row].append("".join(stream_text(vocab, iter(ids))).encode())
            yield from answers


def conversations_of_engine(
    engine: Path, model: Path, conversations: Iterable[Document], tokens: int = _TOKENS
) -> Iterator[Answers]:
    """The same answers from the C++ engine, one process a conversation.

    Raises:
        UserError: the engine is not built or refuses the model.
    """
    for conversation in conversations:
        command = greedy_command(engine, model, _limit(conversation, tokens))
        if (system := _system(conversation)) is not None:
            command += ["--system", system]
        for question in _questions(conversation):
            command += ["-p", question]
        lines = run_engine(engine, [*command, "--json"]).splitlines()
        yield [json.loads(line)["text"].encode() for line in lines]


def _questions(conversation: Document) -> list[bytes]:
    return [turn.content for turn in conversation if turn.role == "user"]


def _right_answers(conversation: Document) -> Answers:
    return [turn.content for turn in conversation if turn.role == "assistant"]


def _system(conversation: Document) -> bytes | None:
    first: Turn = conversation[0]
    return first.content if first.role == "system" else None


def _limit(conversation: Document, tokens: int) -> int:
    """The number of tokens after which each answer is known to be wrong, at most `tokens`."""
    return max(longest_answer(answer, tokens) for answer in _right_answers(conversation))
