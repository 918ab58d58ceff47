"""Checkpoints without the optimizer's state, two thirds of their size, which only training on needs."""

from typing import Any

NO_STATE = (
    "the checkpoint has no optimizer state, so no run can train on from it: last.ckpt has it until its run is "
    "finished; a run with checkpoint.keep=all keeps it in all checkpoints"
)

_MARK = "without_state"


def drop_state(checkpoint: dict[str, Any]) -> None:
    """Leave the optimizer's state out of a checkpoint of LAi; all else stays, and the checkpoint says so."""
    for state in checkpoint.get("optimizer_states", []):
        state["state"] = {}
    checkpoint["lai"][_MARK] = True


def has_state(checkpoint: dict[str, Any]) -> bool:
    """Whether the optimizer's state is in a checkpoint."""
    return any(state["state"] for state in checkpoint.get("optimizer_states", []))


def lacks_state(checkpoint: dict[str, Any]) -> bool:
    """Whether the optimizer's state was left out of a checkpoint."""
    return bool(checkpoint["lai"].get(_MARK, False))
