"""The composed YAML becomes the plain objects of schema.py.

Only config/, run/, sweep/ and train.py import Hydra or OmegaConf; all else takes plain values.
"""

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigKeyError,
    ConfigTypeError,
    InterpolationKeyError,
    InterpolationResolutionError,
    KeyValidationError,
    OmegaConfBaseException,
    ValidationError,
)

from lai.config.auto import choose_values
from lai.config.names import nearest
from lai.config.schema import RunConfig
from lai.config.setting import SettingError
from lai.config.sources import unknown_of_source
from lai.config.targets import Named, check_targets, rename_moved_targets
from lai.config.validate import check_rules, check_trainer
from lai.host.errors import UserError, first_line

logging.getLogger("hydra.utils").setLevel(logging.CRITICAL)  # it logs its own errors, in several lines

_PACKAGED = Path(__file__).parents[1] / "conf"
CONF_DIR = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[2] / "conf"
"""The folder of YAML files: inside the package in a wheel, beside it in a checkout."""


Follow = Callable[[DictConfig, Sequence[str]], None]

_OWN_GROUPS = ("model", "device", "data", "optimizer", "schedule", "export", "checkpoint", "sweep")
TARGET_GROUPS = ("callbacks", "logger")


class UnknownKey(UserError):
    """A key that does not exist; the message names the nearest of the `valid` ones."""

    def __init__(self, key: str, valid: Sequence[str]) -> None:
        self.key = key
        near = nearest(key, valid)
        hint = f"did you mean {near[0]}?" if near else "see `lai-train --help` for the keys there are"
        super().__init__(f"there is no config key {key}; {hint}")


def load_run_config(composed: DictConfig, overrides: Sequence[str] = (), follow: Follow | None = None) -> RunConfig:
    """Check a composed config against the schema and turn it into plain objects.

    Args:
        overrides: those of the command line; what they name as a `_target_` may be built.
        follow: sets what follows from `init_from`, given the overrides, too: `lai.run.follow.follow_initial`.

    Raises:
        UserError: a key does not exist, a value has the wrong type or is missing, an option is not one of its choices;
            the config names code that is neither ours, nor Lightning's, nor named by the overrides; or as `follow`.
    """
    known = {item.name for item in fields(RunConfig)}
    for key in composed:
        if key not in known:
            raise UnknownKey(str(key), known_keys())
    config = composed.copy()
    OmegaConf.set_struct(config, False)
    for group in ("checkpoint", "sweep"):
        if group not in config:  # a config.yaml of an earlier version
            config[group] = {}
    _check_groups(config)
    try:
        if follow is not None:
            follow(config, overrides)
        elif config.get("init_from") is not None:
            raise UserError("init_from: give compose_run the function lai.run.follow.follow_initial, too")
        choose_values(config, CONF_DIR / "device")
        OmegaConf.resolve(config)
    except (InterpolationKeyError, InterpolationResolutionError) as error:
        where = f"{error.full_key}: " if error.full_key else ""
        raise UserError(f"{where}{first_line(error)}") from None
    plain = OmegaConf.to_container(config)
    assert isinstance(plain, dict)
    check_targets({str(key): value for key, value in plain.items()}, Named.by(overrides), CONF_DIR)
    for group in _OWN_GROUPS:
        config[group] = _typed(group, config[group])
    _check_target("trainer", config.trainer)
    check_trainer(config.trainer)
    for group in TARGET_GROUPS:
        rename_moved_targets(config.get(group))
        for name, node in (config.get(group) or {}).items():
            if node is not None:
                _check_target(f"{group}.{name}", node)
    run = _to_objects(config)
    check_rules(run)
    return run


def known_keys() -> list[str]:
    """Every key of the schema, dotted."""
    return list(_types())


def decimal_keys() -> set[str]:
    """The keys that take a decimal number."""
    types = _types()
    trainer = get_class(load_yaml("trainer/default")["_target_"])
    types |= {
        f"trainer.{name}": hint for name, hint in get_type_hints(inspect.getattr_static(trainer, "__init__")).items()
    }
    return {key for key, hint in types.items() if float in (hint, *get_args(hint))}


def _types() -> dict[str, Any]:
    """The type of every key of the schema."""
    types: dict[str, Any] = {}

    def collect(kind: type, prefix: str) -> None:
        for name, hint in get_type_hints(kind).items():
            types[prefix + name] = hint
            for part in (hint, *get_args(hint)):
                if is_dataclass(part):
                    collect(part, f"{prefix}{name}.")  # type: ignore[arg-type]

    collect(RunConfig, "")
    return types


def config_groups() -> list[str]:
    """The config groups, in the order of conf/train.yaml."""
    return list(_chosen())


def options_of(group: str) -> list[str]:
    """The options of a config group that can be chosen, by name."""
    return sorted(path.stem for path in (CONF_DIR / group).glob("*.yaml") if path.stem != "base")


def default_option(group: str) -> str | None:
    """The option of a group that conf/train.yaml chooses."""
    option: str | None = _chosen()[group]
    return option


@cache
def _chosen() -> dict[str, Any]:
    defaults = load_yaml("train").defaults
    return {str(key): option for entry in defaults if OmegaConf.is_dict(entry) for key, option in entry.items()}


def options_with(key: str) -> list[str]:
    """The options of a group whose YAML file sets `key`: `optimizer=muon` for `optimizer.momentum`."""
    group, _, name = key.partition(".")
    found = []
    for file in sorted((CONF_DIR / group).glob("*.yaml")):
        settings = OmegaConf.to_container(load_yaml(f"{group}/{file.stem}"))
        assert isinstance(settings, dict)
        if name in flatten(settings):
            found.append(f"{group}={file.stem}")
    return found


def _check_groups(config: DictConfig) -> None:
    for group in (*_OWN_GROUPS, "trainer"):
        if not OmegaConf.is_dict(config.get(group)):
            if group == "export" and isinstance(config.get(group), str):
                raise UserError(
                    f"export is {config.export!r}; give the model file's path as export.path={config.export}"
                )
            if group == "checkpoint" and isinstance(config.get(group), str):
                raise UserError(
                    f"checkpoint is {config.checkpoint!r}; give a checkpoint to resume from as "
                    f"ckpt_path={config.checkpoint}"
                )
            raise UserError(f"{group} is {config.get(group)!r}; it needs keys of its own, as in conf/{group}/*.yaml")
    for group in TARGET_GROUPS:
        if config.get(group) is not None and not OmegaConf.is_dict(config[group]):
            raise UserError(f"{group} is {config[group]!r}; its entries need a _target_, as in conf/{group}/*.yaml")


def _typed(group: str, node: DictConfig) -> DictConfig:
    """`node` merged into its dataclass, which checks every key and type."""
    hints = get_type_hints(RunConfig)
    schema = OmegaConf.structured(hints[group])
    try:
        merged = OmegaConf.merge(schema, node)
    except ConfigKeyError as error:
        key = f"{group}.{error.full_key or error.key}"
        if (mistake := unknown_of_source(key)) is not None:
            raise mistake from None
        raise UnknownKey(key, known_keys()) from None
    except (ValidationError, KeyValidationError) as error:
        key = f"{group}.{error.full_key}" if error.full_key else group
        raise UserError(f"{key}: {first_line(error)}") from None
    except ConfigTypeError:
        raise UserError(f"{group}: a list stands where {{name: value}} belongs, or the other way round") from None
    assert isinstance(merged, DictConfig)
    return merged


def _to_objects(config: DictConfig) -> RunConfig:
    if missing := sorted(OmegaConf.missing_keys(config)):
        raise UserError(f"{missing[0]} is missing; give it a value: {missing[0]}=…")
    try:
        values: dict[str, Any] = {
            str(key): OmegaConf.to_container(node) if OmegaConf.is_config(node) else node
            for key, node in config.items()
        }
    except OmegaConfBaseException as error:
        raise UserError(first_line(error)) from None
    seed = values.get("seed")
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise UserError(f"seed: {seed!r} is not a whole number")
    if not isinstance(values.get("estimate", False), bool):
        raise UserError(f"estimate: {values['estimate']!r} is not true or false")
    if not isinstance(values["output_dir"], str):
        raise UserError(f"output_dir: {values['output_dir']!r} is not a path")
    if values.get("ckpt_path") is not None and not isinstance(values["ckpt_path"], str):
        raise UserError(f"ckpt_path: {values['ckpt_path']!r} is not a path")
    allowed = values.get("allow_targets")
    if allowed is not None and not (isinstance(allowed, list) and all(isinstance(name, str) for name in allowed)):
        raise UserError(f"allow_targets: {allowed!r} is not a list of packages")
    for group in TARGET_GROUPS:
        values[group] = {name: node for name, node in (values.get(group) or {}).items() if node is not None}
    run = _to_object(RunConfig, values, "")
    assert isinstance(run, RunConfig)
    return run


def _to_object(kind: type, values: Mapping[str, Any], prefix: str) -> Any:
    """A dataclass of settings, and those inside it, made of plain values; each checks its ranges itself."""
    arguments = dict(values)
    for name, hint in get_type_hints(kind).items():
        if arguments.get(name) is None:
            continue
        for part in (hint, *get_args(hint)):
            if isinstance(part, type) and is_dataclass(part):
                arguments[name] = _to_object(part, arguments[name], f"{prefix}{name}.")
            elif get_origin(part) is dict and is_dataclass(named := get_args(part)[1]) and isinstance(named, type):
                arguments[name] = {
                    key: _to_object(named, value, f"{prefix}{name}.{key}.") for key, value in arguments[name].items()
                }
    try:
        return kind(**arguments)
    except SettingError as error:
        raise UserError(f"{prefix}{error}") from None


def _check_target(key: str, node: Any) -> None:
    """Check the arguments of a `_target_` node against the signature of what it names."""
    if not OmegaConf.is_dict(node) or "_target_" not in node:
        raise UserError(f"{key} needs a _target_ (the class to build), found {node!r}")
    try:
        target = get_class(node["_target_"])
    except Exception as error:
        reason = first_line(error.__cause__ or error)
        raise UserError(f"{key}._target_: cannot import {node['_target_']}: {reason}") from None
    parameters = inspect.signature(target).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for name in node:
        if not str(name).startswith("_") and name not in parameters:
            raise UnknownKey(f"{key}.{name}", [f"{key}.{valid}" for valid in parameters])
    try:
        hints = get_type_hints(inspect.getattr_static(target, "__init__"))
    except (NameError, AttributeError):  # the hints name what only type checkers import
        return
    _check_plain_types(key, node, hints)


def _check_plain_types(key: str, node: DictConfig, hints: Mapping[str, Any]) -> None:
    """Check arguments whose type is number, text or boolean; the target itself checks others."""
    for name, value in node.items():
        hint = hints.get(str(name))
        allowed = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        if not all(kind in (int, float, bool, str, type(None)) for kind in allowed):
            continue
        accepted = (*allowed, int) if float in allowed else allowed
        if not isinstance(value, accepted) or (isinstance(value, bool) and bool not in allowed):
            expected = " or ".join("null" if kind is type(None) else kind.__name__ for kind in allowed)
            raise UserError(f"{key}.{name!s}: {value!r} is not {expected}")


def target_keys() -> list[str]:
    """Every argument of the objects that conf/trainer, conf/callbacks and conf/logger build, dotted."""
    nodes = {"trainer": load_yaml("trainer/default")}
    for group in TARGET_GROUPS:
        loaded = load_yaml(f"{group}/default")
        nodes |= {f"{group}.{name!s}": node for name, node in loaded.items()}
    return [
        f"{key}.{parameter}"
        for key, node in nodes.items()
        for parameter in inspect.signature(get_class(node["_target_"])).parameters
    ]


def load_yaml(name: str) -> DictConfig:
    """A file of `CONF_DIR` by its name without the ending, such as `model/tiny`."""
    loaded = OmegaConf.load(CONF_DIR / f"{name}.yaml")
    assert isinstance(loaded, DictConfig)
    return loaded


def flatten(values: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one flat one with dotted keys; lists become text, so that every value is a plain one."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + str(key)] = value if isinstance(value, bool | int | float | str | None) else str(value)
    return flat
