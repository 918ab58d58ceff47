"""How one setting is declared: its meaning, default and range stand in the dataclass that has it, and nowhere else."""

import difflib
import math
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, get_args, get_type_hints

from lai.host.errors import UserError

_KEY = "setting"


class SettingError(UserError):
    """A value is out of its range. The message begins with the setting's name, without its group's."""


@dataclass(frozen=True)
class Limits:
    """What a setting means and which values it takes: `ge` is >=, `le` <=, `gt` > and `lt` <."""

    meaning: str
    ge: float | None = None
    le: float | None = None
    gt: float | None = None
    lt: float | None = None
    choices: tuple[str, ...] = ()
    words: str = ""  # the range in words, where the limits are no numbers that anybody reads

    def accept(self, value: Any) -> bool:
        """Whether `value` is in the range; null and what is no number or no choice's type are left to others."""
        if self.choices:
            return value is None or value in self.choices
        if isinstance(value, bool) or not isinstance(value, int | float):
            return True
        return (
            math.isfinite(value)
            and (self.ge is None or value >= self.ge)
            and (self.le is None or value <= self.le)
            and (self.gt is None or value > self.gt)
            and (self.lt is None or value < self.lt)
        )

    def expected(self) -> str:
        """The range in words: `from 1 to 1024`."""
        if self.words:
            return self.words
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.ge is not None and self.le is not None:
            return f"from {self.ge} to {self.le}"
        if self.gt is not None and self.lt is not None:
            return f"between {self.gt} and {self.lt}"
        parts = [
            f"{word} {limit}"
            for word, limit in (
                ("at least", self.ge),
                ("at most", self.le),
                ("more than", self.gt),
                ("less than", self.lt),
            )
            if limit is not None
        ]
        return " and ".join(parts) or "finite"


def setting(meaning: str, default: Any = MISSING, **limits: Any) -> Any:
    """A field of a dataclass of settings: `lr: float = setting("peak learning rate", gt=0)`.

    Args:
        meaning: what it does and in which unit, in one line, for `--help` and docs/configuration.md.
        default: the value where the YAML has none; without it, the YAML must have one.
        limits: `ge`, `le`, `gt`, `lt` of a number (>=, <=, >, <), or the `choices` of a text.
    """
    metadata = {_KEY: Limits(meaning, **limits)}
    if isinstance(default, dict | list):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def limits_of(item: Field[Any]) -> Limits | None:
    """What `setting` declared of a field; None where the field is not a setting, but a group of them."""
    return item.metadata.get(_KEY)


def limits(kind: type, name: str) -> Limits:
    """What `setting` declared of the field `name` of a dataclass."""
    found = next(limits_of(item) for item in fields(kind) if item.name == name)
    assert found is not None
    return found


def check_ranges(settings: Any) -> None:
    """Check the values of a dataclass against the types and ranges that it declares.

    Raises:
        SettingError: a value is no number where one is declared, or out of its range.
    """
    hints = get_type_hints(type(settings))
    for item in fields(settings):
        if (declared := limits_of(item)) is None:
            continue
        value, types = getattr(settings, item.name), (hints[item.name], *get_args(hints[item.name]))
        if value is not None and (bool in types) != isinstance(value, bool) and (int in types or float in types):
            raise SettingError(f"{item.name} is {value!r}; it must be a number")
        if int in types and not isinstance(value, int | None):
            raise SettingError(f"{item.name} is {value!r}; it must be a whole number, {declared.expected()}")
        check_range(item.name, value, declared)


def check_range(name: str, value: Any, declared: Limits) -> None:
    """Check one value.

    Raises:
        SettingError: it is out of its range.
    """
    if declared.accept(value):
        return
    close = difflib.get_close_matches(str(value), declared.choices, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise SettingError(f"{name} is {value!r}; it must be {declared.expected()}{hint}")
