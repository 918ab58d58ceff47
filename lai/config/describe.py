"""The settings as people and editors read them: `lai-train --help`, docs/configuration.md and conf/schema.json.

`make settings` writes the two files anew.
"""

import json
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, OmegaConf

from lai import __version__
from lai.config.load import TARGET_GROUPS, config_groups, default_option, flatten, load_yaml, options_of
from lai.config.schema import RunConfig, TrainerSettings
from lai.config.setting import Limits, limits_of

_TYPES = {int: "whole number", float: "number", str: "text", bool: "true or false", list: "list", dict: "mapping"}
_JSON_TYPES = {int: "integer", float: "number", str: "string", bool: "boolean", list: "array", dict: "object"}
_NAMED = ".NAME"  # ends the key of settings under names of the user's
_INTERPOLATION = {"type": "string", "pattern": r"\$\{|^\?\?\?$"}

_USAGE = """\
usage: lai-train [GROUP=OPTION ...] [KEY=VALUE ...] [-m]

Trains a language model and writes it as a model file.

  lai-train model=nano data=text data.path=my.txt trainer.max_epochs=3
  lai-train -m optimizer.lr=1e-3,3e-4        one run for each value

  -m, --multirun      sweep: run every combination of comma-separated values
  --cfg job           print the composed config instead of training; --resolve replaces ${...}
  --schema            print the JSON schema of the config, for editors
  --version           print the version
  --hydra-help        print the options of Hydra
"""


@dataclass(frozen=True)
class _Group:
    """A dataclass of settings and the key it stands under; the default values by option, the default option first."""

    key: str
    kind: type
    values: dict[str, dict[str, Any]]

    def settings(self) -> Iterator[tuple[Field[Any], Limits]]:
        for item in fields(self.kind):
            if (limits := limits_of(item)) is not None:
                yield item, limits

    def takes_null(self, item: Field[Any]) -> bool:
        """Whether null is a value of its type, or one that the run replaces by its own choice."""
        is_null_somewhere = any(values.get(item.name, ...) is None for values in self.values.values())
        return NoneType in _types(item, self.kind) or (is_null_somewhere and Any not in _types(item, self.kind))

    def default(self, item: Field[Any]) -> str:
        """Its value in the default option, then those of the options that differ."""
        found = {option: values[item.name] for option, values in self.values.items() if item.name in values}
        if not found:
            return "" if item.default is MISSING else _shown(item.default)
        default = next(iter(self.values))
        first = [_shown(found[default])] if default in found else []
        others = [
            f"{option}: {_shown(value)}"
            for option, value in found.items()
            if value not in (option, found.get(default, ...))
        ]
        return "; ".join([*first, *([", ".join(others)] if others else [])])


def answer(arguments: Sequence[str]) -> str | None:
    """What `lai-train` prints for `--help`, `--schema` or `--version`; None where none of them is given."""
    if "--help" in arguments or "-h" in arguments:
        return help_text(shutil.get_terminal_size((110, 24)).columns)
    if "--schema" in arguments:
        return json_schema()
    return f"lai {__version__}" if "--version" in arguments else None


def _default_first(group: str) -> list[str]:
    return sorted(options_of(group), key=lambda option: option != default_option(group))


def help_text(width: int) -> str:
    """The text of `lai-train --help`, in lines of at most `width` characters where words allow."""
    lines = [_USAGE, "Groups and their options, the default first:"]
    lines += [f"  {group:<12}{' '.join(_default_first(group))}" for group in config_groups()]
    lines += ["", "Settings: key, default, meaning. docs/configuration.md has the same as tables."]
    for group in _groups():
        lines += ["", *textwrap.wrap(_title(group), width)]
        for item, limits in group.settings():
            key = f"{group.key}.{item.name}" if group.key else item.name
            lines += textwrap.wrap(
                f"{key}  [{group.default(item)}]  {_meaning(item, group, limits)}",
                width,
                initial_indent="  ",
                subsequent_indent="      ",
                break_long_words=False,
                break_on_hyphens=False,
            )
    for name in TARGET_GROUPS:
        lines += ["", f"{name}: objects that the run builds; add your own with +{name}.NAME._target_=package.Class"]
        lines += [f"  {name}.{entry}  {target}" for entry, target in _targets(name)]
    return "\n".join(lines)


def markdown() -> str:
    """The page docs/configuration.md."""
    parts = [
        "# Configuration",
        "Every setting of `lai-train`, made by `make settings` from the schema (`lai/config/schema.py`) and the "
        "YAML files in `conf/`. Set one on the command line as `KEY=VALUE`, choose "
        "a group's file as `GROUP=OPTION`. A default with option names lists the values of options that differ.",
        "## Groups",
        _table(
            ("group", "options, the default first"),
            [(f"`{group}`", ", ".join(f"`{o}`" for o in _default_first(group))) for group in config_groups()],
        ),
    ]
    for group in _groups():
        title, _, text = _title(group).partition(": ")
        parts += [f"## {title}", f"{text[:1].upper()}{text[1:]}"]
        rows = [
            (
                f"`{group.key}.{item.name}`" if group.key else f"`{item.name}`",
                group.default(item),
                _values(item, group, limits),
                limits.meaning,
            )
            for item, limits in group.settings()
        ]
        parts.append(_table(("setting", "default", "values", "meaning"), rows))
    for name in TARGET_GROUPS:
        parts += [
            f"## {name}",
            f"Objects that the run builds. Set an argument as `{name}.NAME.ARGUMENT=VALUE`, leave one out as "
            f"`~{name}.NAME`, add your own as `+{name}.NAME._target_=package.Class`.",
            _table(("name", "class"), [(f"`{name}.{entry}`", f"`{target}`") for entry, target in _targets(name)]),
        ]
    return "\n\n".join(parts) + "\n"


def json_schema() -> str:
    """The JSON schema (draft 7) of conf/train.yaml and of a run's config.yaml."""
    properties: dict[str, Any] = {}
    groups = [group for group in _groups() if not group.key.endswith(_NAMED)]
    for group in groups:
        owner = properties
        for part in group.key.split(".") if group.key else ():
            owner = owner.setdefault(part, {}).setdefault("properties", {})
        owner |= {item.name: _json_of(item, group, limits) for item, limits in group.settings()}
    for group in groups:
        if group.key:
            owner = properties
            for part in group.key.split("."):
                owner, node = owner[part]["properties"], owner[part]
            more = {"type": ["object", "null"], "description": _title(group).partition(": ")[2]}
            node |= more | {"additionalProperties": group.key == "trainer"}
    for group in _groups():
        if group.key.endswith(_NAMED):
            upper, last = group.key.removesuffix(_NAMED).split(".")
            of_one = {item.name: _json_of(item, group, limits) for item, limits in group.settings()}
            inner = [item.name for item in fields(group.kind) if item.name not in of_one]
            properties[upper]["properties"][last]["additionalProperties"] = {
                "type": "object",
                "properties": of_one | {name: {"type": ["object", "null"]} for name in inner},
                "additionalProperties": False,
            }
    properties["trainer"]["properties"]["_target_"] = {"type": "string", "description": "Lightning's Trainer"}
    entry = {"type": ["object", "null"], "properties": {"_target_": {"type": "string"}}}
    for name in TARGET_GROUPS:
        properties[name] = {"type": ["object", "null"], "additionalProperties": entry}
    properties |= {"defaults": {"type": "array"}, "hydra": {"type": "object"}}
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "The config of lai-train",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    return json.dumps(schema, indent=1, ensure_ascii=False)


def _groups() -> list[_Group]:
    """The dataclasses of settings: those of a run itself, of its groups, and of the groups inside these."""
    found = [_Group("", RunConfig, {"train": flatten(_plain(load_yaml("train")))})]
    for name, kind in get_type_hints(RunConfig).items():
        if name == "export":
            found.append(_Group(name, kind, {"train": flatten(_plain(load_yaml("train").export))}))
        elif is_dataclass(kind) or name == "trainer":
            assert isinstance(kind, type) or name == "trainer"
            kind = TrainerSettings if name == "trainer" else kind
            values = {option: _plain(_option(name, option)) for option in _default_first(name)}
            found.append(_Group(name, kind, values))
            for inner, hint in get_type_hints(kind).items():
                of_hint = next((part for part in (hint, *get_args(hint)) if is_dataclass(part)), None)
                if isinstance(of_hint, type):
                    for_all = {"train": _plain(load_yaml("train")).get(name, {})}
                    nested = {option: value[inner] for option, value in (for_all | values).items() if value.get(inner)}
                    found.append(_Group(f"{name}.{inner}", of_hint, nested))
                if (named := _named(hint)) is not None:
                    found.append(_Group(f"{name}.{inner}{_NAMED}", named, {}))
    return found


def _named(hint: Any) -> type | None:
    """The dataclass of settings that stand under names of the user's: the values of a dict."""
    for part in get_args(hint):
        if get_origin(part) is dict and isinstance(value := get_args(part)[1], type) and is_dataclass(value):
            return value
    return None


def _option(group: str, option: str) -> DictConfig:
    """The YAML of an option, merged into the one that its `defaults` name."""
    loaded = load_yaml(f"{group}/{option}")
    bases = [entry for entry in loaded.pop("defaults", []) if entry != "_self_"]
    merged = OmegaConf.merge(*(load_yaml(f"{group}/{base}") for base in bases), loaded)
    assert isinstance(merged, DictConfig)
    return merged


def _plain(config: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(config)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _targets(group: str) -> Iterator[tuple[str, str]]:
    for name, node in load_yaml(f"{group}/default").items():
        yield str(name), node["_target_"]


def _title(group: _Group) -> str:
    """What the dataclass says of itself, in one line: `model: the network's shape`."""
    text = " ".join((group.kind.__doc__ or "").split("\n\n")[0].split()).replace("`", "")
    return text if group.key else "run: the settings of the run itself, in no group."


def _types(item: Field[Any], kind: type) -> tuple[Any, ...]:
    hint = get_type_hints(kind)[item.name]
    return tuple(
        getattr(part, "__origin__", part) for part in (get_args(hint) if NoneType in get_args(hint) else (hint,))
    )


def _values(item: Field[Any], group: _Group, limits: Limits) -> str:
    """Its type and range in words: `whole number from 1 to 1024, or null`."""
    words = (
        limits.expected() if limits.choices else next((_TYPES[t] for t in _types(item, group.kind) if t in _TYPES), "")
    )
    if not limits.choices and (limits.ge, limits.le, limits.gt, limits.lt) != (None,) * 4:
        words = limits.words or f"{words} {limits.expected()}"
    return f"{words}, or null" if words and group.takes_null(item) else words


def _meaning(item: Field[Any], group: _Group, limits: Limits) -> str:
    values = _values(item, group, limits)
    return f"{limits.meaning} ({values})" if values and values not in ("text", "true or false") else limits.meaning


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return str(value)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in cells)


def _json_of(item: Field[Any], group: _Group, limits: Limits) -> dict[str, Any]:
    types = _types(item, group.kind)
    node: dict[str, Any] = {}
    if limits.choices:
        node["enum"] = [*limits.choices, *([None] if group.takes_null(item) else [])]
    elif Any not in types:
        kinds = [_JSON_TYPES[part] for part in types if part in _JSON_TYPES]
        kinds += ["null"] if group.takes_null(item) else []
        node["type"] = kinds if len(kinds) > 1 else kinds[0]
        names = {"minimum": limits.ge, "maximum": limits.le}
        names |= {"exclusiveMinimum": limits.gt, "exclusiveMaximum": limits.lt}
        node |= {name: limit for name, limit in names.items() if limit is not None}
    described: dict[str, Any] = {"description": limits.meaning}
    default = next(iter(group.values.values()), {}).get(item.name, ...)
    if default not in (..., "???"):
        described["default"] = default
    return described | ({"anyOf": [node, _INTERPOLATION]} if node else {})


if __name__ == "__main__":
    print(markdown(), end="")
