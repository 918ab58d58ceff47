"""Checks plain data that was read from a file against a description; a message names the first entry that differs."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lai.host.errors import UserError

_LARGEST = 2**53  # whole numbers that a double can count, too


class Unexpected(UserError):
    """An entry is not what the description says. The message begins with the entry's name."""


@dataclass(frozen=True)
class Kind:
    """A value of one kind: `words` name it in messages."""

    words: str
    accepts: Callable[[Any], bool]


@dataclass(frozen=True)
class Record:
    """A dict with these keys. `rest` describes the values of all others; without it, there may be none."""

    required: Mapping[Any, "Description"] = field(default_factory=dict)
    optional: Mapping[Any, "Description"] = field(default_factory=dict)
    rest: "Description | None" = None


@dataclass(frozen=True)
class Table:
    """A dict whose keys are of one kind."""

    keys: Kind
    values: "Description"


@dataclass(frozen=True)
class Items:
    """A list or tuple whose items are of one kind, of this length where one is given."""

    item: "Description"
    length: int | None = None


Description = Kind | Record | Table | Items

ANY = Kind("anything", lambda _: True)
COUNT = Kind("a whole number from 0", lambda value: type(value) is int and 0 <= value <= _LARGEST)
WHOLE = Kind("a whole number", lambda value: type(value) is int and -(2**63) <= value < 2**63)
FLAG = Kind("true or false", lambda value: type(value) is bool)
NOTHING = Kind("empty", lambda value: value is None or value == {} or value == [])
TEXT = Kind("text", lambda value: type(value) is str)
NUMBER = Kind("a finite number", lambda value: type(value) in (int, float) and math.isfinite(value))
SHARE = Kind("a number from 0 to less than 1", lambda value: NUMBER.accepts(value) and 0 <= value < 1)
POSITIVE = Kind("a number from 0", lambda value: NUMBER.accepts(value) and value >= 0)


def nullable(kind: Kind) -> Kind:
    """The same kind, or null."""
    return Kind(f"{kind.words} or null", lambda value: value is None or kind.accepts(value))


def choice(*values: Any) -> Kind:
    """One of these values."""
    words = " or ".join(map(str, values))
    return Kind(words, lambda value: any(type(value) is type(one) and value == one for one in values))


def like(example: Any) -> Description:
    """The description of data with the keys of `example` and with values of the same kinds: counts, flags or text."""
    if isinstance(example, dict):
        return Record({key: like(value) for key, value in example.items()})
    return {bool: FLAG, int: COUNT, str: TEXT}.get(type(example), NOTHING)


def check(value: Any, expected: Description, name: str) -> None:
    """Compare `value` with its description.

    Raises:
        Unexpected: an entry is missing, is one too many, or is of another kind.
    """
    if isinstance(expected, Kind):
        if not expected.accepts(value):
            raise Unexpected(f"{name} is {_shown(value)}, expected {expected.words}")
    elif isinstance(expected, Items):
        if not isinstance(value, list | tuple):
            raise Unexpected(f"{name} is {_shown(value)}, expected a list")
        if expected.length not in (None, len(value)):
            raise Unexpected(f"{name} has {len(value)} items, expected {expected.length}")
        for number, item in enumerate(value):
            check(item, expected.item, f"{name}.{number}")
    elif not isinstance(value, dict):
        raise Unexpected(f"{name} is {_shown(value)}, expected names with values")
    elif isinstance(expected, Table):
        for key, item in value.items():
            check(key, expected.keys, f"a name in {name}")
            check(item, expected.values, f"{name}.{_shown_key(key)}")
    else:
        _check_record(value, expected, name)


def _check_record(value: dict[Any, Any], expected: Record, name: str) -> None:
    for key in expected.required:
        if key not in value:
            raise Unexpected(f"{name}.{_shown_key(key)} is missing")
    for key, item in value.items():
        description = expected.required.get(key) or expected.optional.get(key) or expected.rest
        if description is None:
            raise Unexpected(f"{name}.{_shown_key(key)} is unknown")
        check(item, description, f"{name}.{_shown_key(key)}")


def _shown(value: Any) -> str:
    """A value in a message: short, on one line."""
    if isinstance(value, bool | int | float | str | None):
        text = repr(value)
        return text if len(text) <= 40 else f"{text[:37]}…"
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"{value.dtype} of shape {tuple(shape)}"


def _shown_key(key: Any) -> str:
    text = str(key) if isinstance(key, str | int) else type(key).__name__
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= 60 else f"{text[:57]}…"
