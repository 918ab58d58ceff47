"""How far a model has been trained, as checkpoints and model files record it."""

import math
from dataclasses import asdict, dataclass
from typing import Any

CHECKPOINT_VERSION = 1
"""The format of checkpoints; `lai.export.checkpoint_schema` says what each version holds. 0 has no version."""

_LARGEST = (2 - 2**-23) * 2.0**127  # float32, in which the file has the losses


@dataclass(frozen=True)
class TrainingRecord:
    """All values belong to the weights in the same file; 0 means unknown.

    Attributes:
        steps: optimizer steps, those before a resume included.
        tokens: target tokens trained on, over all processes, those before a resume included.
        val_loss: nats a token on the validation documents.
        val_loss_floor: what the generator of the validation documents scores there.
        unfolded: the text was not folded (`lai.tokenizer.folding`), so prompts are not folded either.
        turns: user turns of the longest conversations in the training text.
    """

    steps: int = 0
    tokens: int = 0
    val_loss: float = 0.0
    val_loss_floor: float = 0.0
    unfolded: bool = False
    turns: int = 0

    @classmethod
    def read(
        cls,
        steps: Any = 0,
        tokens: Any = 0,
        val_loss: Any = 0.0,
        val_loss_floor: Any = 0.0,
        unfolded: Any = False,
        turns: Any = 0,
    ) -> "TrainingRecord":
        """The record of untrusted values; an impossible value becomes unknown."""
        losses = _loss(val_loss), _loss(val_loss_floor)
        known_turns = turns if _count(turns) < 2**32 else 0
        return cls(_count(steps), _count(tokens), *losses, unfolded is True, _count(known_turns))

    def to_dict(self) -> dict[str, int | float]:
        """The values by name; `unfolded` only where it is true."""
        return {name: value for name, value in asdict(self).items() if name != "unfolded" or value}

    def facts(self) -> list[tuple[str, str]]:
        """(name, value) rows for a person."""
        floor = f", floor {self.val_loss_floor:.4f}" if self.val_loss_floor else ""
        return [
            ("steps", f"{self.steps:,}" if self.steps else "unknown"),
            ("tokens seen", f"{self.tokens:,}" if self.tokens else "unknown"),
            ("val/loss", f"{self.val_loss:.4f}{floor}" if self.val_loss else "unknown"),
            ("turns", f"{self.turns:,}" if self.turns else "unknown"),
            *([("text", "not folded (data.normalize=false)")] if self.unfolded else []),
        ]

    def note(self, vocab_size: int) -> str | None:
        """A warning about a model that is far from trained, else None; cpp/tools/report.cpp prints the same words."""
        if not self.val_loss:
            return None
        guessing = math.log(vocab_size)
        limit, beside = 2 / 3 * guessing, f"guessing scores {guessing:.2f}"
        if self.val_loss_floor:
            limit, beside = 1.5 * self.val_loss_floor, f"the floor is {self.val_loss_floor:.2f}"
        if self.val_loss <= limit:
            return None
        steps = (
            f"has trained for {self.steps} step{'s' if self.steps > 1 else ''}" if self.steps else "is hardly trained"
        )
        return f"note: this model {steps} (val/loss {self.val_loss:.2f}; {beside}): its answers will make little sense"


def _count(value: Any) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**64 else 0


def _loss(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and 0 < value <= _LARGEST else 0.0


UNKNOWN = TrainingRecord()
