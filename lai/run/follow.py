"""`init_from`: the shape and the vocabulary of a run follow the model that it begins with."""

import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from lai.config.schema import ModelShape
from lai.host.errors import UserError

if TYPE_CHECKING:
    from lai.export.reading.stored import StoredModel

_SHAPE = [item.name for item in fields(ModelShape) if item.name != "max_seq_len"]  # no weight depends on the context


def follow_initial(config: DictConfig, overrides: Sequence[str]) -> None:
    """Set `model`, `data.vocab_path` and `data.vocab_size` to those of the model that `init_from` names.

    A run that resumes (`ckpt_path`) has those of its checkpoint: the file of `init_from` may be gone.

    Args:
        overrides: those of the command line; what they set and the model contradicts is refused.

    Raises:
        UserError: the file cannot be read, its model has a tokenizer of its own, or a setting contradicts it.
    """
    source = config.get("init_from")
    if source is None:
        return
    if not isinstance(source, str) or not source:
        raise UserError(f"init_from is {source!r}; give it a model's file or folder, or leave it out")
    from lai.export.reading.source import read_stored  # it loads PyTorch

    checkpoint = OmegaConf.select(config, "ckpt_path")
    is_resumed = isinstance(checkpoint, str) and bool(checkpoint)
    model = _named(checkpoint if is_resumed else source, "ckpt_path" if is_resumed else "init_from", read_stored)
    typed = {override.lstrip("+").partition("=")[0].lstrip("/") for override in overrides}
    _follow_shape(config, model, typed)
    _follow_vocab(config, model, typed, source, is_resumed)
    if "model.name" not in typed:
        own = _model_name(model)
        config.model.name = own if is_resumed else next_stage(own)


def next_stage(name: str) -> str:
    """The name of a model that begins with the weights of the one of this name: nano, nano-2, nano-3."""
    stem, dash, number = name.rpartition("-")
    return f"{stem}-{int(number) + 1}" if dash and stem and re.fullmatch("[0-9]{1,4}", number) else f"{name}-2"


def _named(path: str, key: str, read: Any) -> "StoredModel":
    try:
        model: StoredModel = read(path)
        model.known_vocab()
    except UserError as error:
        raise UserError(f"{key}={path}: {error}") from None
    return model


def _follow_shape(config: DictConfig, model: "StoredModel", typed: set[str]) -> None:
    given = {name: config.model.get(name) for name in _SHAPE}
    if given["n_kv_heads"] is None:
        given["n_kv_heads"] = given["n_heads"]
    known = {name: _shortest(value) for name, value in model.config.to_dict().items()}
    keys = [name for name in _SHAPE if f"model.{name}" in typed or "model" in typed]
    if different := [name for name in keys if _shortest(given[name]) != known[name]]:
        ours, theirs = (", ".join(f"{name} {of[name]}" for name in different) for of in (given, known))
        option = "model" if not any(f"model.{name}" in typed for name in different) else f"model.{different[0]}"
        raise UserError(
            f"the model settings have {ours}, but {model.path} has {theirs}; leave {option} out: the shape follows by "
            "itself"
        )
    for name in _SHAPE:
        config.model[name] = known[name]
    if "model.max_seq_len" not in typed:
        config.model.max_seq_len = known["max_seq_len"]


def _follow_vocab(config: DictConfig, model: "StoredModel", typed: set[str], source: str, is_resumed: bool) -> None:
    vocab, given = model.known_vocab(), config.data.get("vocab_path")
    if given not in (None, source) and not is_resumed:
        from lai.export.vocab_file import load_vocab
        from lai.host.files import with_home

        other = load_vocab(with_home(given))
        if other.fingerprint != vocab.fingerprint:
            raise UserError(
                f"data.vocab_path={given} has another vocabulary ({len(other):,} tokens) than {model.path} "
                f"({len(vocab):,} tokens); leave it out: the vocabulary follows by itself"
            )
    size = config.data.get("vocab_size")
    if "data.vocab_size" in typed and size != len(vocab):
        raise UserError(
            f"data.vocab_size is {size}, but {model.path} has {len(vocab)} tokens; leave it out: the vocabulary "
            "follows by itself"
        )
    config.data.vocab_path, config.data.vocab_size = source, len(vocab)


def _model_name(model: "StoredModel") -> str:
    """The model's name by its manifest, else by its file; it becomes part of a path, so that it is letters alone."""
    told = (model.manifest or {}).get("model")
    own = told.get("name") if isinstance(told, dict) else None
    if isinstance(own, str) and re.fullmatch(r"\w[\w.-]{0,59}", own):
        return own
    stem = "model" if model.kind == "checkpoint" else Path(model.path).stem
    return re.sub(r"[^\w-]+", "-", stem.removeprefix("lai-")).strip("-")[:60] or "model"


def _shortest(value: Any) -> Any:
    """A decimal number as it is written: model files and GGUF files have it as float32."""
    if isinstance(value, float):
        import numpy as np

        return float(str(np.float32(value)))
    return value
