"""ShareGPT: `conversations`, a list of `{"from", "value"}` with several turns of human and gpt, perhaps system."""

from collections.abc import Mapping, Sequence
from typing import Any

from lai.data.sources.formats.messages import content_bytes, from_json
from lai.data.sources.values import describe
from lai.host.errors import UserError
from lai.tokenizer.chat import Document, Role, Turn, is_whole

NAME = "ShareGPT"
COLUMNS = ("conversations", "conversation", "system")
_SENDERS: dict[str, Role] = {
    "system": "system",
    **dict.fromkeys(("human", "user", "prompter"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "bot", "model", "bard", "bing", "claude"), "assistant"),
}
_ROLE_KEYS = ("from", "role")
_TEXT_KEYS = ("value", "content", "text")


def matches(row: Mapping[str, Any]) -> bool:
    """Whether a row has a conversation of ShareGPT."""
    return _column(row) is not None


def documents(row: Mapping[str, Any]) -> Sequence[Document]:
    """The document of a row with `conversations`; none where a turn is blank. A `system` beside it comes first.

    Raises:
        UserError: the turns are no list, have other senders or no text, or are in an order that is no conversation.
    """
    column = _column(row)
    assert column is not None
    given = from_json(row[column])
    if not isinstance(given, list) or not given:
        raise UserError(f"{column} is {describe(given)}; expected a list of at least one {{from, value}}")
    turns = [_turn(column, from_json(turn)) for turn in given]
    if turns[0].role == "system" and not turns[0].content.strip():
        del turns[0]
    system = content_bytes(row.get("system"))
    if system.strip() and (not turns or turns[0].role != "system"):
        turns.insert(0, Turn("system", system))
    return whole(column, turns)


def whole(column: str, turns: Sequence[Turn]) -> Sequence[Document]:
    """The turns as a document; none where one is blank.

    Raises:
        UserError: their order is no conversation.
    """
    if not turns or not is_whole(tuple(turns)):
        order = ", ".join(turn.role for turn in turns[:8]) + (", …" if len(turns) > 8 else "")
        raise UserError(
            f"{column} has the turns {order or 'of none'}; expected system or none, then user and assistant in turn"
        )
    return [tuple(turns)] if all(turn.content.strip() for turn in turns) else ()


def _column(row: Mapping[str, Any]) -> str | None:
    """The column that holds the turns: `messages`, too, where they have `from`."""
    first = row["messages"][0] if isinstance(row.get("messages"), list) and row["messages"] else None
    if isinstance(first, Mapping) and "from" in first and "role" not in first:
        return "messages"
    return next((name for name in ("conversations", "conversation") if name in row), None)


def _turn(column: str, turn: Any) -> Turn:
    if not isinstance(turn, Mapping):
        raise UserError(f"{column} holds {describe(turn)}; expected {{from, value}}")
    sender = next((turn[key] for key in _ROLE_KEYS if turn.get(key) is not None), None)
    role = _SENDERS.get(sender.strip().lower()) if isinstance(sender, str) else None
    if role is None:
        raise UserError(f"a turn of {column} is from {describe(sender)}; expected human, gpt or system")
    value = next((turn[key] for key in _TEXT_KEYS if turn.get(key) is not None), None)
    if value is None:
        raise UserError(f"the turn of {sender} has no value; expected a text")
    return Turn(role, content_bytes(value))
