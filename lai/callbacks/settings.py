"""Keeps a run's settings in its checkpoints, and tells which of them a resumed run changes."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from lightning.pytorch.callbacks import Callback

from lai.host.errors import UserError
from lai.host.plain_data import ANY, TEXT, Record, Table, check
from lai.model.resuming import resuming

log = logging.getLogger(__name__)

_STATE = Record({"settings": TEXT})
_SETTINGS = Table(TEXT, ANY)

# Where files go and what is shown: none of it changes what is learned.
_FREE = (
    *("output_dir", "ckpt_path", "resume", "estimate", "data.cache_dir"),
    *("export.", "logger.", "checkpoint.", "sweep."),
)
_FREE_NAMES = (
    "dirpath",
    "enable_model_summary",
    "enable_progress_bar",
    "log_every_n_steps",
    "num_workers",
    "pin_memory",
)
# The module and the data module tell these, or refuse them.
_TOLD = ("model.", "optimizer.", "data.seq_len", "data.batch_size", "data.loss_on", "seed")


class RunSettings(Callback):
    """Writes the settings into checkpoints as JSON; on resuming, logs a line for each one that differs.

    Args:
        settings: of this run, flat, by their dotted keys; values are plain.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = {key: value for key, value in settings.items() if not _is_free(key)}

    @property
    def state_key(self) -> str:
        return "RunSettings"

    def state_dict(self) -> dict[str, Any]:
        return {"settings": json.dumps(self._settings, sort_keys=True)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        saved = _read(state_dict)
        for key in sorted(saved.keys() | self._settings.keys()):
            before, now = saved.get(key), self._settings.get(key)
            if before != now and not key.startswith(_TOLD):
                log.info("%s is %s now, and was %s in the checkpoint", key, _shown(now), _shown(before))


def _read(state: dict[str, Any]) -> dict[str, Any]:
    with resuming():
        check(state, _STATE, "callbacks.RunSettings")
        try:
            saved: dict[str, Any] = json.loads(state["settings"])
        except (ValueError, RecursionError):  # text that is no JSON, or nested too deeply
            raise UserError("callbacks.RunSettings.settings is no JSON") from None
        check(saved, _SETTINGS, "callbacks.RunSettings.settings")
    return saved


def _is_free(key: str) -> bool:
    return key.startswith(_FREE) or key.rpartition(".")[2] in _FREE_NAMES


def _shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
