"""The stages of training that a model's weights have gone through: each run's manifest has the one before as `parent`.

What is read here may be of a stranger's file: only the entries that are known are taken, shortened.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from lai.model.manifest import Content
from lai.model.record import TrainingRecord

MAX_STAGES = 16
"""Stages that a manifest tells at most; of longer chains the earliest are left out."""
_MAX_ENTRIES = 30
_MAX_TEXT = 300
_OF_DATA = ("name", "bytes", "sha256", "licence")


def as_parent(
    name: str,
    digest: str,
    kind: str,
    dtype: str,
    run: str,
    training: TrainingRecord,
    manifest: Mapping[str, Any] | None,
) -> Content:
    """What the manifest of a run says of the model whose weights it begins with; docs/runs.md has the keys.

    Args:
        name: of its file or folder.
        digest: the SHA-256 of the file that has the weights.
        kind, dtype: what the file is, and of what dtype its matrices are.
        run: the name of its run; "" where it is unknown.
        training: its record.
        manifest: its own; None where it has none.
    """
    known = manifest or {}
    metrics = _numbers(known.get("metrics"))
    if training.val_loss:
        metrics.setdefault("val/loss", training.val_loss)
    told: Content = {
        "name": _short(name),
        "sha256": digest,
        "format": kind,
        "dtype": dtype,
        "run": _short(run or known.get("run")),
        "steps": training.steps,
        "tokens_seen": training.tokens,
        "metrics": metrics,
        **_data(known),
    }
    earlier = known.get("parent")
    return told | ({"parent": _kept(earlier, MAX_STAGES - 1)} if isinstance(earlier, dict) else {})


def parents(manifest: Mapping[str, Any] | None) -> Iterator[Content]:
    """The stages before a model's own, the last one first."""
    stage: Any = (manifest or {}).get("parent")
    for _ in range(MAX_STAGES):
        if not isinstance(stage, dict):
            return
        yield stage
        stage = stage.get("parent")


def licences(manifest: Mapping[str, Any] | None) -> list[str]:
    """The licences of all text that a model was trained on, in its own run and in the stages before it."""
    found = _licences(manifest or {})
    for stage in parents(manifest):
        found |= _licences(stage) | {text for text in _items(stage.get("licences"), str) if text}
    return sorted(found)


def entries(manifest: Mapping[str, Any], key: str) -> list[Content]:
    """The objects in a list of a manifest, such as `data`; what is none is left out."""
    return list(_items(manifest.get(key), dict))


def _data(known: Mapping[str, Any]) -> Content:
    data = entries(known, "data")
    kept = [{key: _value(entry.get(key)) for key in _OF_DATA} for entry in data[:_MAX_ENTRIES]]
    before = known.get("data_left_out", 0)  # of an earlier stage, which is told again
    number = len(data) - len(kept) + (before if type(before) is int and 0 <= before < 2**53 else 0)
    left_out = {"data_left_out": number} if number else {}
    listed = sorted(_licences(known))[:_MAX_ENTRIES]
    return {"licences": [_short(text) for text in listed], "data": kept, **left_out}


def _kept(stage: Mapping[str, Any], stages: int) -> Content:
    """An earlier stage as its manifest tells it, with at most so many stages."""
    told: Content = {key: _value(stage.get(key)) for key in ("name", "sha256", "format", "dtype", "run")}
    told |= {key: _value(stage.get(key)) for key in ("steps", "tokens_seen")}
    told["metrics"] = _numbers(stage.get("metrics"))
    told |= _data(stage)
    listed = sorted({*told["licences"], *map(_short, _items(stage.get("licences"), str))})
    told["licences"] = listed[:_MAX_ENTRIES]
    earlier = stage.get("parent")
    if isinstance(earlier, dict):
        told |= {"parent": _kept(earlier, stages - 1)} if stages > 1 else {"stages_left_out": True}
    return told


def _licences(known: Mapping[str, Any]) -> set[str]:
    data = (*entries(known, "data"), *entries(known, "validation"))
    return {entry["licence"] for entry in data if isinstance(entry.get("licence"), str) and entry["licence"]}


def _items(found: Any, kind: type) -> Iterator[Any]:
    return (item for item in found if isinstance(item, kind)) if isinstance(found, list) else iter(())


def _numbers(found: Any) -> dict[str, float]:
    items = found.items() if isinstance(found, dict) else ()
    kept = {_short(name): value for name, value in items if type(value) in (int, float) and math.isfinite(value)}
    return dict(list(kept.items())[:_MAX_ENTRIES])


def _value(found: Any) -> Any:
    return found if type(found) in (int, bool) else _short(found)


def _short(found: Any) -> Any:
    return found[:_MAX_TEXT] if isinstance(found, str) and found else None
