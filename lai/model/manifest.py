"""What is known of a run: where its data, code and weights come from. `run.json`, checkpoints and exports carry it."""

import json
import math
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from lai.host.errors import UserError
from lai.host.plain_data import COUNT, NUMBER, TEXT, Items, Record, check
from lai.model.record import TrainingRecord

NAME = "run.json"
"""The file in a run's folder."""
MAX_SIZE = 1 << 20
"""Bytes of a manifest at most."""

_FORMAT = 1
_STARTS = Items(Record({"started": TEXT, "step": COUNT, "duration_s": NUMBER}))

Content = dict[str, Any]
"""The manifest as plain data; docs/runs.md has its keys."""


class Manifest:
    """The manifest of a run that goes on: facts that are known when it starts, and how far it has come.

    Args:
        facts: what `lai.run.manifest.facts` gathers.

    Example:
        >>> Manifest({"seed": 7}).at(TrainingRecord(steps=10))["steps"]
        10
    """

    def __init__(self, facts: Mapping[str, Any] | None = None) -> None:
        self._facts = dict(facts or {})
        self.run = ""
        """The name of the run in its checkpoints."""
        self._earlier: list[dict[str, Any]] = []  # the starts of the run before this one
        self._start: dict[str, Any] = {"started": _now(), "step": 0}
        self._clock = time.monotonic()

    def resume_from(self, saved: Mapping[str, Any], step: int) -> None:
        """Take over the starts and the parent that a checkpoint's manifest has; this start begins at `step`.

        Raises:
            UserError: the starts are no list of objects that have a duration.
        """
        if "starts" in saved:
            check(saved["starts"], _STARTS, "the manifest's starts")
        if isinstance(saved.get("parent"), dict):
            self._facts["parent"] = saved["parent"]
        self._earlier = list(saved.get("starts", []))
        self._start["step"] = step

    def at(self, training: TrainingRecord, metrics: Mapping[str, float] | None = None) -> Content:
        """The manifest of weights with this record.

        Args:
            metrics: those of the weights; None: the losses of the record.
        """
        starts = [*self._earlier, self._start | {"duration_s": round(time.monotonic() - self._clock, 1)}]
        known = {"val/loss": training.val_loss, "val/loss_floor": training.val_loss_floor}
        found = metrics or {name: value for name, value in known.items() if value}
        return {
            "format": _FORMAT,
            **({"run": self.run} if self.run else {}),
            **self._facts,
            "starts": starts,
            "duration_s": round(sum(start["duration_s"] for start in starts), 1),
            "steps": training.steps,
            "tokens_seen": training.tokens,
            "metrics": {name: value for name, value in found.items() if math.isfinite(value)},  # JSON has no NaN
        }


def to_json(content: Content) -> bytes:
    """A manifest as JSON that a person can read."""
    return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"


def from_json(data: bytes, name: str) -> Content:
    """Read a manifest of unknown origin. Nothing in it is followed or executed.

    Args:
        name: of its file, for error lines.

    Raises:
        UserError: it is too large, or no JSON object.
    """
    if len(data) > MAX_SIZE:
        raise UserError(f"{name} has a manifest of {len(data):,} bytes; expected at most {MAX_SIZE:,}")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name} has a manifest that is no JSON: {error}; write the file again") from None
    if not isinstance(content, dict):
        raise UserError(f"{name} has a manifest that is no JSON object; write the file again")
    return content


def rows(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(name, value) rows for a person; values in a list or an object have rows of their own: `data.0.sha256`."""
    for name, value in content.items():
        if isinstance(value, list) and all(not isinstance(item, list | dict) for item in value):
            yield name, " ".join(map(str, value)) or "none"
        elif isinstance(value, list | dict):
            entries = value if isinstance(value, dict) else {str(number): item for number, item in enumerate(value, 1)}
            yield from ((f"{name}.{key}", shown) for key, shown in rows(entries))
        else:
            yield name, "unknown" if value is None else f"{value:,}" if type(value) is int else str(value)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
