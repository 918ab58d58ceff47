"""Checks the states of Lightning's callbacks in a checkpoint; the paths in them are made anew, in this run's folder."""

import math
import re
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, Timer
from torch import Tensor

from lai.export.checkpoint import run_of
from lai.host.plain_data import ANY, COUNT, POSITIVE, TEXT, Description, Kind, Record, Table, check, nullable
from lai.model.resuming import resuming
from lai.model.stored_tensor import SCALAR

_SCORE = Kind(f"{SCALAR.words} or null", lambda value: value is None or SCALAR.accepts(value))
_STATES: dict[type[Callback], Description] = {
    ModelCheckpoint: Record(
        {
            "monitor": nullable(TEXT),
            "best_model_score": _SCORE,
            "best_model_path": TEXT,
            "current_score": _SCORE,
            "best_k_models": Table(TEXT, SCALAR),
        },
        rest=ANY,
    ),
    EarlyStopping: Record(
        {"wait_count": COUNT, "stopped_epoch": COUNT, "best_score": SCALAR, "patience": COUNT}, rest=ANY
    ),
    Timer: Record({"time_elapsed": Table(TEXT, POSITIVE)}, rest=ANY),
}


class CheckLoadedState(Callback):
    """Acts before any callback takes its state from a checkpoint: Lightning follows the paths that stand there.

    Raises:
        UserError: the state of one of Lightning's callbacks has another structure.
    """

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        states = checkpoint["callbacks"]
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            state = states.get(callback.state_key)
            if state is None:
                continue
            for kind, expected in _STATES.items():
                if isinstance(callback, kind):
                    _check(callback, state, expected)
            if isinstance(callback, ModelCheckpoint):
                source, run = Path(str(trainer.ckpt_path)).parent, checkpoint["lai"].get("run", "")
                states[callback.state_key] = state | _made_anew(callback, state, source, run)


def _check(callback: Callback, state: Any, expected: Description) -> None:
    with resuming():
        check(state, expected, f"callbacks.{type(callback).__name__}")


def _made_anew(callback: ModelCheckpoint, state: dict[str, Any], source: Path, run: str) -> dict[str, Any]:
    """The state's scores, and paths with the recorded files' names in the callback's own folder.

    Only checkpoints of this run count as saved there: Lightning removes them when better ones come. The best one may
    also lie beside the resumed checkpoint, in `source`, where it is only read.
    """
    own = Path(callback.dirpath or ".")
    models: dict[str, Tensor] = {}
    for recorded, score in state["best_k_models"].items():
        if (name := _name(recorded)) and run_of(own / name) == run:
            models[str(own / name)] = score
    best, name = "", _name(state["best_model_path"])
    if name:
        places = [own / name, *([source / name] if callback.monitor else [])]
        fallback = str(places[-1]) if callback.monitor else ""
        best = next((str(path) for path in places if run_of(path) == run), fallback)
    is_lower_better = callback.mode == "min"
    kth = (max if is_lower_better else min)(models, key=models.__getitem__) if models else ""
    return {
        "dirpath": callback.dirpath,
        "best_k_models": models,
        "best_model_path": best,
        "best_model_score": models.get(best),
        "kth_best_model_path": kth,
        "kth_value": models[kth] if kth else torch.tensor(math.inf if is_lower_better else -math.inf),
        "last_model_path": "",
    }


def _name(recorded: str) -> str:
    """The file's name in a recorded path; empty where it has none."""
    name = re.split(r"[/\\]", recorded)[-1]
    return "" if name in ("", ".", "..") or not name.isprintable() else name
