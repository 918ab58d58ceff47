"""What a checkpoint may hold: each entry's name and kind, by the format's version. Nothing else is read.

A resumed run compares the rest with itself: `lai.model.resuming` the loops and the optimizer,
`lai.callbacks.loaded_state` the states of callbacks.
"""

import re
from collections.abc import Mapping
from typing import Any, get_type_hints

from torch import Tensor

from lai.config.schema import LORA_TARGETS, LoraSettings
from lai.export.lai_file import tensor_shapes
from lai.host.errors import UserError
from lai.host.plain_data import (
    ANY,
    COUNT,
    FLAG,
    NUMBER,
    POSITIVE,
    TEXT,
    Description,
    Items,
    Kind,
    Record,
    Table,
    Unexpected,
    check,
    choice,
)
from lai.model.lora import factor_shapes
from lai.model.record import CHECKPOINT_VERSION
from lai.model.stored_tensor import BYTES, FLOATS, tensor
from lai.model.transformer import ModelConfig

WEIGHTS = "model."
"""How the names of the network's weights begin."""

_DIGEST = Kind("64 hexadecimal digits", lambda value: _matches("[0-9a-f]{64}", value))
_RUN = Kind("32 hexadecimal digits", lambda value: _matches("[0-9a-f]{32}", value))
_LIGHTNING = Kind("a version of Lightning 2", lambda value: _matches(r"2\.\d{1,4}(\.\w{1,12}){0,4}", value))
_KINDS: dict[Any, Kind] = {int: COUNT, float: NUMBER, bool: FLAG, str: TEXT}

_CONFIG = Record({name: _KINDS.get(kind, COUNT) for name, kind in get_type_hints(ModelConfig).items()})
_TRAINING = Record(
    {"steps": COUNT, "tokens": COUNT, "val_loss": NUMBER, "val_loss_floor": NUMBER, "turns": COUNT}, {"unfolded": FLAG}
)
_LORA = Record({"rank": COUNT, "alpha": NUMBER, "targets": Items(choice(*LORA_TARGETS))})
_OWN: dict[str, Description] = {"config": _CONFIG, "vocab": BYTES}
_DROPPED: dict[str, Description] = {"without_state": FLAG}
_LAI: dict[int, Description] = {  # by version
    0: Record(_OWN, _DROPPED | {"optimizer": choice("adamw", "muon"), "training": ANY}),
    1: Record(
        _OWN
        | {
            "version": COUNT,
            "run": _RUN,
            "optimizer": choice("adamw", "muon"),
            "training": _TRAINING,
            "entries_of_callbacks": Items(TEXT),
        },
        _DROPPED | {"manifest": TEXT, "lora": _LORA},
    ),
}
_SOURCE = Record({"train": _DIGEST, "val": _DIGEST, "before": COUNT, "rows": Items(COUNT)})
_DATA = Record(
    {"epoch": COUNT, "batch": COUNT, "order": Table(TEXT, COUNT), "train": _DIGEST, "val": _DIGEST},
    {"loss_on": choice("answers"), "sources": Table(TEXT, _SOURCE)},  # without the first all targets count
)
_WEIGHTS: dict[str, Description] = {
    "epoch": COUNT,
    "global_step": COUNT,
    "pytorch-lightning_version": _LIGHTNING,
    "state_dict": Table(TEXT, ANY),
    "loops": Table(TEXT, Table(TEXT, ANY)),
    "lai": Table(TEXT, ANY),
}
_STATE: dict[str, Description] = {  # what a checkpoint of weights only does not have
    "callbacks": Table(TEXT, ANY),
    "optimizer_states": Items(Record({"state": Table(ANY, Table(TEXT, ANY)), "param_groups": Items(Table(TEXT, ANY))})),
    "lr_schedulers": Items(Table(TEXT, ANY)),
    "CorpusDataModule": _DATA,
    "MixedPrecision": Table(TEXT, POSITIVE),  # the scale of float16's losses
}


def check_checkpoint(content: dict[str, Any]) -> None:
    """Refuse a checkpoint whose entries are not those of its version.

    Raises:
        UserError: it was not written by lai.train or is of a newer version; an entry is missing, unknown or of another
            kind; a weight's shape is not that of the model.
    """
    own = content.get("lai")
    if not isinstance(own, dict) or not {"config", "vocab"} <= own.keys() or "state_dict" not in content:
        raise UserError("it is not a checkpoint of lai.train: it carries no config, vocabulary and weights")
    version = own.get("version", 0)
    check(version, COUNT, "lai.version")
    if version > CHECKPOINT_VERSION:
        raise UserError(
            f"its format version is {version}, this program reads 0 to {CHECKPOINT_VERSION}; update LAi to read it"
        )
    check(own, _LAI[version], "lai")
    _check_entries(content, version)
    _check_weights(ModelConfig(**own["config"]), lora_of(own), content["state_dict"])


def lora_of(own: Mapping[str, Any]) -> LoraSettings | None:
    """The factors that the weights of a checkpoint have, by its entry `lai`; None where they have none.

    Raises:
        UserError: their rank or alpha is impossible.
    """
    if "lora" not in own:
        return None
    lora = LoraSettings(**own["lora"])
    if not lora.rank:
        raise Unexpected("lai.lora.rank is 0, expected at least 1")
    return lora


def _check_entries(content: dict[str, Any], version: int) -> None:
    of_callbacks = content["lai"].get("entries_of_callbacks", [])
    for name in content:
        known = name in _WEIGHTS or name in _STATE
        if not known and version > 0 and name not in of_callbacks:
            raise Unexpected(f"{str(name)[:60]!r} is unknown")
    for name, expected in _WEIGHTS.items():
        if name not in content:
            raise Unexpected(f"{name} is missing")
        check(content[name], expected, name)
    for name, expected in _STATE.items():
        if name in content:
            check(content[name], expected if version or name != "CorpusDataModule" else Table(TEXT, ANY), name)


def _check_weights(config: ModelConfig, lora: LoraSettings | None, found: Mapping[str, Tensor]) -> None:
    expected = {
        WEIGHTS + name: tensor(shape, FLOATS)
        for name, shape in tensor_shapes(config)
        if not (config.tie_embeddings and name == "output.weight")
    }
    if lora is not None:
        expected |= {WEIGHTS + name: tensor(shape, FLOATS) for name, shape in factor_shapes(config, lora)}
    weights = {name: weight for name, weight in found.items() if name.startswith(WEIGHTS)}
    check(weights, Record(expected), "state_dict")


def _matches(pattern: str, value: Any) -> bool:
    return type(value) is str and re.fullmatch(pattern, value) is not None
