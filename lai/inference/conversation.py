"""A chat of several turns: what the model reads, and what it forgets. cpp/engine/conversation.hpp does the same.

A turn has the ids from `<user>` to `</assistant>`. Before a question is asked, the oldest turns are forgotten
1. beyond the number of user turns that the training text has, the question included: a longer conversation is unlike
   all that the model has learned;
2. until a quarter of the context, or the longest answer if that is less, is free.
The system prompt stays. Each is said; the first one once.
"""

from collections.abc import Sequence

from lai.inference.sampling import chat_turn, check_fits, system_turn
from lai.model.record import TrainingRecord
from lai.tokenizer.vocab import Vocab

CONTEXT_IS_FULL = "the context is full: older turns are forgotten"


def turns_note(turns: int) -> str:
    """What is said when turns are forgotten because the training text has no more of them, 0 for an unknown number."""
    if turns == 0:
        return "the model file does not say how many turns the training text has: each question is answered alone"
    if turns == 1:
        return "the training text has one question a document: each question is answered alone"
    return f"the training text has conversations of up to {turns} questions: older turns are forgotten"


class Conversation:
    """The ids of a chat.

    Args:
        vocab: the model's vocabulary.
        context: the model's context in tokens.
        training: the model's record, which has the number of turns.
        tokens: the maximum number of tokens of an answer.
        system: the system prompt; None for none.

    Raises:
        UserError: the system prompt is blank, or the vocabulary has no tags for it.
    """

    def __init__(
        self, vocab: Vocab, context: int, training: TrainingRecord, tokens: int, system: bytes | None = None
    ) -> None:
        self._vocab, self._context, self._training = vocab, context, training
        self._room = min(tokens, context // 4)
        self._fold = not training.unfolded
        self._start = [vocab.BOS, *([] if system is None else system_turn(vocab, system, self._fold))]
        self._turns: list[list[int]] = []
        self._has_told = False

    def ask(self, text: bytes) -> tuple[list[int], list[str]]:
        """The ids of the prompt, up to the opening of the answer, and what is to be said about forgotten turns.

        Raises:
            UserError: the question alone does not fit into the context; the conversation is as before.
        """
        turn = chat_turn(self._vocab, text, self._fold)
        check_fits([*self._start, *turn], self._context)
        notes = []
        limit = max(1, self._training.turns)
        if len(self._turns) >= limit:
            del self._turns[: len(self._turns) - limit + 1]
            if not self._has_told:
                notes.append(turns_note(self._training.turns))
            self._has_told = True
        before = len(self._turns)
        while self._turns and len(self._ids()) + len(turn) + self._room > self._context:
            del self._turns[0]
        if len(self._turns) < before:
            notes.append(CONTEXT_IS_FULL)
        self._turns.append(turn)
        return self._ids(), notes

    def answered(self, ids: Sequence[int]) -> None:
        """Remember the answer to the last question."""
        self._turns[-1] += [*ids, self._vocab.tag_id(b"</assistant>")]

    def _ids(self) -> list[int]:
        return [*self._start, *(index for turn in self._turns for index in turn)]
