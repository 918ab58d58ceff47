"""Alpaca: `instruction`, optional `input`, `output`. Dolly's names `context` and `response` are read, too."""

from collections.abc import Mapping, Sequence
from typing import Any

from lai.data.sources.formats.messages import from_json
from lai.data.sources.formats.sharegpt import whole
from lai.data.sources.values import describe, to_bytes
from lai.host.errors import UserError
from lai.tokenizer.chat import Document, Turn

NAME = "Alpaca"
COLUMNS = ("instruction", "input", "context", "output", "response", "system", "history")


def matches(row: Mapping[str, Any]) -> bool:
    """Whether a row has an instruction and its answer."""
    return "instruction" in row and ("output" in row or "response" in row)


def documents(row: Mapping[str, Any]) -> Sequence[Document]:
    """The document of a row: the input stands on a line of its own below the instruction. None where a side is blank.

    `system` and `history`, a list of earlier questions with their answers, come before.

    Raises:
        UserError: a column is no text, or the history no list of pairs.
    """
    system = to_bytes("system", row.get("system"))
    turns = [Turn("system", system)] if system.strip() else []
    for exchange in _history(row):
        turns += [Turn("user", exchange[0]), Turn("assistant", exchange[1])]
    asked = [_first(row, "instruction"), _first(row, "input", "context")]
    question = b"\n".join(text for text in asked if text.strip())
    turns += [Turn("user", question), Turn("assistant", _first(row, "output", "response"))]
    return whole("the row", turns)


def _first(row: Mapping[str, Any], *names: str) -> bytes:
    """The text of the first column that there is; empty without one."""
    return next((to_bytes(name, row[name]) for name in names if row.get(name) is not None), b"")


def _history(row: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    history = from_json(row.get("history")) or []
    if not isinstance(history, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in history):
        raise UserError(f"history is {describe(history)}; expected a list of [question, answer]")
    return [(to_bytes("history", question), to_bytes("history", answer)) for question, answer in history]
