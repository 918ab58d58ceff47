"""Keeps checkpoints plain data, which loads without running code."""

import io
import logging
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_only

log = logging.getLogger(__name__)

# Entries of Lightning and LAi; all other entries of a checkpoint are a callback's.
_OWN_ENTRIES = {"state_dict", "optimizer_states", "lr_schedulers", "loops", "callbacks", "lai"}
_OF_LIGHTNING = {"epoch", "global_step", "pytorch-lightning_version", "CorpusDataModule", "MixedPrecision"}


def entries_of_callbacks(checkpoint: dict[str, Any]) -> list[str]:
    """The names of the entries that callbacks have put into a checkpoint, beside those of Lightning and LAi."""
    return sorted(name for name in checkpoint if name not in _OWN_ENTRIES | _OF_LIGHTNING)


def drop_non_plain_state(checkpoint: dict[str, Any], warned: set[str]) -> None:
    """Remove state from a checkpoint that does not load without running code: it would make all of it unreadable.

    Args:
        warned: names that a warning has named already; each is named once.
    """
    states: dict[str, Any] = checkpoint.get("callbacks", {})
    for entries, own in ((states, set()), (checkpoint, _OWN_ENTRIES)):
        for name in [name for name in entries if name not in own and not _is_plain(entries[name])]:
            odd = entries.pop(name)
            if name in warned:
                continue
            warned.add(name)
            whose = f"the state of {name}" if entries is states else f"{name}, which a callback puts into checkpoints,"
            parts = [str(key) for key in odd if not _is_plain(odd[key])] if isinstance(odd, dict) else []
            where = f" ({', '.join(parts)})" if parts else ""
            rank_zero_only(log.warning)(
                "warning     callbacks: %s is not plain data%s; checkpoints leave it out, and a resumed run "
                "starts without it; keep numbers, text, lists, dicts and tensors there",
                whose,
                where,
            )


def _is_plain(value: Any) -> bool:
    """Whether `torch.load` reads it with `weights_only=True`."""
    try:
        return _has_plain_parts(value)
    except RecursionError:  # it holds itself, or is too deep to be pickled
        return False


def _has_plain_parts(value: Any) -> bool:
    if type(value) in (bool, int, float, str, bytes, type(None), torch.Tensor):  # np.float64 is a float, too
        return True
    if type(value) is dict:
        return all(_has_plain_parts(part) for pair in value.items() for part in pair)
    if type(value) in (list, tuple):
        return all(map(_has_plain_parts, value))
    file = io.BytesIO()
    try:
        torch.save(value, file)
        file.seek(0)
        torch.load(file, weights_only=True)
    except Exception:  # a state may hold anything, and what pickling and reading it raise has no common class
        return False
    return True
