"""Values of rows (JSON, Parquet, CSV): texts to bytes, and descriptions for messages."""

from collections.abc import Iterable, Mapping
from typing import Any

from lai.host.errors import UserError

_MAX_NAMES = 8  # of columns that a message lists


def to_bytes(name: str, value: Any) -> bytes:
    """A text's bytes; a missing one is empty.

    Raises:
        UserError: the value of the column `name` is no text.
    """
    if value is None:
        return b""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, bytes):
        return value
    raise UserError(f"{name} is {describe(value)}; expected a text")


def describe(value: Any) -> str:
    """An unexpected JSON value, described for an error message."""
    match value:
        case None:
            return "null"
        case dict():
            return "an object"
        case []:
            return "an empty list"
        case list():
            return "a list"
        case _:
            return repr(value)[:40]


def column_names(row: Mapping[str, Any] | Iterable[str]) -> str:
    """The names of a row's columns, as a message lists them."""
    return ", ".join(map(repr, list(row)[:_MAX_NAMES])) or "nothing"
