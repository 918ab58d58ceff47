"""Which classes a config may name as `_target_`: one from elsewhere must not choose what code a run executes."""

import importlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, QuotedString
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, OmegaConf

from lai.host.errors import UserError, first_line

MOVED = {"lai.loggers.TensorBoard": "lai.run.loggers.TensorBoard"}
"""The path that a class of LAi had in a config before, and its path now. Add a line when you move such a class."""

# Modules whose classes a config may name: Lightning's objects, and what is given to them.
_KNOWN = (
    "lightning.pytorch.callbacks",
    "lightning.pytorch.loggers",
    "lightning.pytorch.plugins",
    "lightning.pytorch.profilers",
    "lightning.pytorch.strategies",
    "lightning.fabric.plugins",
    "lightning.fabric.loggers",
    "torch.distributed.fsdp",
    "torch.nn",
)
_KNOWN_OBJECTS = ("datetime.timedelta", "lightning.pytorch.Trainer", "torch.profiler.schedule")


def rename_moved_targets(group: DictConfig | None) -> None:
    """Give the nodes of `callbacks` or `logger` the paths that their classes have now."""
    for node in (group or {}).values():
        if OmegaConf.is_dict(node) and node.get("_target_") in MOVED:
            node["_target_"] = MOVED[node["_target_"]]


@dataclass(frozen=True)
class Named:
    """What the command line names: paths as a `_target_`, and packages in `allow_targets`."""

    targets: frozenset[str] = frozenset()
    packages: tuple[str, ...] = ()

    @classmethod
    def by(cls, overrides: Sequence[str]) -> "Named":
        """What these overrides name, those of a sweep included.

        Raises:
            UserError: `allow_targets` is no list of packages.
        """
        targets: set[str] = set()
        packages: list[str] = []
        for override in _parsed(overrides):
            for value in _values(override):
                if override.key_or_group == "allow_targets":
                    packages += _packages(value)
                elif override.key_or_group.endswith("_target_"):
                    targets.add(str(value))
                else:
                    targets.update(str(target) for _, target in targets_in(value) if isinstance(target, str))
        return cls(frozenset(targets), tuple(packages))


def check_targets(config: dict[str, Any], named: Named, conf: Path) -> None:
    """Refuse every `_target_` that is neither ours, nor Lightning's, nor named by the user.

    Args:
        config: plain values, interpolations resolved: nothing is imported before its name is known.
        conf: our own folder of YAML files.

    Raises:
        UserError: the config names other code, or holds an interpolation that building the objects would resolve.
    """
    for key, target in targets_in(config):
        if isinstance(target, str) and (target in named.targets or target in own_targets(conf) or target in MOVED):
            continue
        if isinstance(target, str) and _is_known(target, named.packages):
            continue
        package = str(target).partition(".")[0] if isinstance(target, str) else "PACKAGE"
        raise UserError(
            f"{key} is {target!r}, which this config names and the command line does not: it would run code of its "
            f"choice; where you trust it: 'allow_targets=[{package}]'"
        )
    for key, text in _entries({group: config.get(group) for group in ("trainer", "callbacks", "logger")}, ""):
        if isinstance(text, str) and "${" in text:
            raise UserError(f"{key} is {text!r}, which holds an interpolation inside another one; write its value")


@cache
def own_targets(conf: Path) -> frozenset[str]:
    """Every `_target_` in our own YAML files."""
    texts = [file.read_text(encoding="utf-8") for file in sorted(conf.glob("**/*.yaml"))]
    return frozenset(target for text in texts for target in re.findall(r"""_target_["']?:\s*["']?([\w.]+)""", text))


def _is_known(target: str, packages: Sequence[str]) -> bool:
    """Whether `target` leads to a class of a known module, or to what an allowed package defines.

    A path may begin in such a module and lead out of it, since modules hold those that they import.
    """
    if target in _KNOWN_OBJECTS:
        return True
    of_known = [name for name in _KNOWN if _is_in(target, name)]
    allowed = [name for name in packages if _is_in(target, name)]
    if not of_known and not allowed:
        return False
    found = _found(target)
    home = str(getattr(found, "__module__", ""))
    if any(_is_in(home, name) for name in allowed):
        return True
    return bool(of_known) and isinstance(found, type) and any(_is_in(home, name) for name in _KNOWN)


def _is_in(path: str, package: str) -> bool:
    return path == package or path.startswith(f"{package}.")


def _found(target: str) -> Any:
    """What a dotted path leads to.

    Raises:
        UserError: it leads nowhere.
    """
    parts = target.split(".")
    try:
        found: Any = importlib.import_module(parts[0])
        for number, part in enumerate(parts[1:], start=2):
            if not hasattr(found, part):
                importlib.import_module(".".join(parts[:number]))
            found = getattr(found, part)
    except Exception as error:  # the module of an allowed package may raise anything
        raise UserError(f"_target_: cannot import {target}: {first_line(error)}") from None
    return found


def targets_in(values: Any) -> Iterator[tuple[str, Any]]:
    """Every `_target_` in nested values, with its dotted key."""
    return ((key, value) for key, value in _entries(values, "") if key.rpartition(".")[2] == "_target_")


def _entries(values: Any, key: str) -> Iterator[tuple[str, Any]]:
    """All values at any depth, with their dotted keys."""
    inside: Iterable[tuple[Any, Any]] = ()
    if isinstance(values, dict):
        inside = values.items()
    elif isinstance(values, list | tuple):
        inside = enumerate(values)
    for name, value in inside:
        where = f"{key}.{name}".lstrip(".")
        yield where, value
        yield from _entries(value, where)


def _parsed(overrides: Sequence[str]) -> list[Override]:
    try:
        return OverridesParser.create().parse_overrides(
            [override for override in overrides if re.match(r"[+]*[\w./@]+=", override)]
        )
    except OverrideParseException:  # Hydra reports it
        return []


def _values(override: Override) -> list[Any]:
    """The value, or those that a sweep tries, as plain values."""
    value = override.value()
    return [_plain(item) for item in (value.list if isinstance(value, ChoiceSweep) else [value])]


def _plain(value: Any) -> Any:
    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _packages(value: Any) -> list[str]:
    packages = value if isinstance(value, list) else [value]
    for package in packages:
        if not isinstance(package, str) or not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", package):
            raise UserError(f"allow_targets is {value!r}; it must be a list of packages, as in 'allow_targets=[mine]'")
    return packages
