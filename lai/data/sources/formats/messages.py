"""OpenAI's messages: a list of `{"role", "content"}`, whose contents are never markup.

A content is a text, or a list of parts of the type text, which a line break joins. A message may be the JSON text of
one: `datasets` writes that into Parquet where messages have different keys.
"""

import json
from collections.abc import Mapping
from typing import Any

from lai.data.sources.values import describe, to_bytes
from lai.host.errors import UserError
from lai.tokenizer.chat import ROLES, Document, Turn, plain

NAME = "messages"
_TEXT_PARTS = ("text", "input_text", "output_text")


def matches(row: Mapping[str, Any]) -> bool:
    """Whether a row has messages."""
    return "messages" in row


def document(row: Mapping[str, Any]) -> Document:
    """The document of a row with `messages`. A single message with the role "text" is plain text, never markup.

    Raises:
        UserError: the messages are no list, or a message has another role or no text.
    """
    messages = from_json(row["messages"])
    if not isinstance(messages, list) or not messages:
        raise UserError(f"messages is {describe(messages)}; expected a list of at least one {{role, content}}")
    messages = [from_json(message) for message in messages]
    if len(messages) == 1 and isinstance(messages[0], Mapping) and messages[0].get("role") == "text":
        return plain(to_bytes("content", messages[0].get("content")))
    turns = []
    for message in messages:
        role = message.get("role") if isinstance(message, Mapping) else None
        if role not in ROLES:
            found = role if isinstance(message, Mapping) else message
            raise UserError(f"a message's role is {describe(found)}; expected {', '.join(ROLES)}")
        if message.get("content") is None:
            raise UserError(f"the {role} message has no content; expected a text")
        turns.append(Turn(role, content_bytes(message["content"])))
    return tuple(turns)


def content_bytes(content: Any) -> bytes:
    """The text of a content: a text, or a list of text parts.

    Raises:
        UserError: it is something else, or a part is no text, such as an image.
    """
    if not isinstance(content, list):
        return to_bytes("content", content)
    return b"\n".join(map(_part, content))


def _part(part: Any) -> bytes:
    part = from_json(part) if isinstance(part, str) and part.startswith("{") else part
    if isinstance(part, str):
        return to_bytes("content", part)
    kind = part.get("type", "text") if isinstance(part, Mapping) else None
    if kind not in _TEXT_PARTS or part.get("text") is None:
        found = f"a part of the type {kind!r}" if kind not in (None, *_TEXT_PARTS) else f"the part {describe(part)}"
        raise UserError(f"content holds {found}; expected parts of the type 'text' with a text")
    return to_bytes("text", part["text"])


def from_json(value: Any) -> Any:
    """The value that a text holds as JSON if the text is an object or a list; any other value as it is."""
    if isinstance(value, str | bytes) and value[:1] in ("{", "[", b"{", b"["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value
