"""Hydra's errors about the command line, each as one line that names the key and the nearest valid one."""

import difflib
import re
import shlex
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.conf import HydraConf
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf

from lai.config.load import (
    CONF_DIR,
    UnknownKey,
    config_groups,
    decimal_keys,
    flatten,
    known_keys,
    options_of,
    options_with,
    target_keys,
)
from lai.config.names import nearest
from lai.host.errors import UserError, first_line, message_of

_LISTS = ("data.path", "data.val_path", "data.synthetic.templates")

# Hydra's own options, and how many values each takes: "?" is one of a few, or none.
_FLAGS: dict[str, int | str] = {
    **dict.fromkeys(("--help", "-h", "--hydra-help", "--version", "--schema", "--resolve", "--run", "-r"), 0),
    **dict.fromkeys(("--multirun", "-m", "--shell-completion", "-sc"), 0),
    **dict.fromkeys(("--cfg", "-c", "--package", "-p", "--experimental-rerun"), 1),
    **dict.fromkeys(("--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"), 1),
    **dict.fromkeys(("--info", "-i"), "?"),
}
_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")

# Of Hydra's plug-ins: the group and option that need one, and the package that has it.
_PLUGINS = {
    "hydra/launcher/joblib": "hydra-joblib-launcher",
    "hydra/launcher/submitit_local": "hydra-submitit-launcher",
    "hydra/launcher/submitit_slurm": "hydra-submitit-launcher",
    "hydra/launcher/ray": "hydra-ray-launcher",
    "hydra/launcher/ray_aws": "hydra-ray-launcher",
    "hydra/launcher/rq": "hydra-rq-launcher",
    "hydra/sweeper/optuna": "hydra-optuna-sweeper",
    "hydra/sweeper/sampler": "hydra-optuna-sweeper",
    "hydra/sweeper/nevergrad": "hydra-nevergrad-sweeper",
    "hydra/sweeper/ax": "hydra-ax-sweeper",
    "hydra/job_logging/colorlog": "hydra-colorlog",
    "hydra/hydra_logging/colorlog": "hydra-colorlog",
}
_LOGGERS = {"wandb": "WandbLogger", "mlflow": "MLFlowLogger", "comet": "CometLogger", "neptune": "NeptuneLogger"}
_DATA_FILE = re.compile(r"[/\\*]|\.(txt|jsonl|ndjson|json|tsv|csv|parquet|tmx|en|hu)(\.(gz|zst))?$")
_HELP = "see `lai-train --help` for the keys there are"


def explain(error: Exception, arguments: Sequence[str]) -> UserError | None:
    """The user's mistake behind an exception of Hydra while it composed `arguments`; None if it is no such mistake."""
    if isinstance(error, OSError) and not isinstance(error, HydraException):
        return UserError(message_of(error))
    for cause in _causes(error):
        if isinstance(cause, UnknownKey):
            return UserError(_unknown(cause.key, arguments))
        if isinstance(cause, UserError):
            return cause
        if isinstance(cause, OverrideParseException):
            return UserError(_unreadable(cause, arguments))
        if isinstance(cause, MissingConfigException):
            return UserError(_missing_option(cause, arguments))
    if isinstance(error, ValueError) and "Config group override" in str(error):  # `model=3`
        return UserError(_unnamed_option(arguments))
    if not isinstance(error, HydraException):
        return None
    if match := re.match(r"(?:Ambiguous value for argument|Sweep parameters) '((.+?)=(.*))'", str(error)):
        return UserError(_several_values(match[1], match[2], match[3], arguments))
    if match := re.match(r"Could not override '([\w./@-]+)'", str(error)):
        return UserError(_not_overridden(match[1], arguments))
    if match := re.match(r"Could not delete from config\. '([\w./@-]+)' does not exist", str(error)):
        if match[1] in _valid():
            return UserError(f"{match[1]} is not in this config, so it cannot be left out; leave out ~{match[1]}")
        return UserError(_unknown(match[1], arguments))
    if match := re.search(r"An item is already at '([\w.]+)'", " ".join(map(str, _causes(error)))):
        return UserError(f"{match[1]} is in this config already; leave out the plus sign: {match[1]}=…")
    if match := re.match(r"Multiple values for ([\w/]+)\.", str(error)):
        if any(argument.startswith(f"+{match[1]}=") for argument in arguments):
            return UserError(f"{match[1]} is in this config already; leave out the plus sign: {match[1]}=…")
        return UserError(f"{match[1]} is given more than once; give it once")
    return UserError(first_line(error))


def flags_first(arguments: Sequence[str]) -> list[str]:
    """The arguments with Hydra's options first: its parser takes overrides on one side of them only.

    Raises:
        UserError: an option is not one of Hydra's; the line says how to write the settings that it stands for.
    """
    flags: list[str] = []
    overrides: list[str] = []
    others: dict[str, str | None] = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        name, is_joined, value = argument.partition("=")
        following = rest[0] if rest else ""
        if not argument.startswith("-"):
            overrides.append(argument)
        elif name in _FLAGS:
            flags.append(argument)
            takes = following in _INFO if _FLAGS[name] == "?" else _FLAGS[name]
            if takes and not is_joined and rest:
                flags.append(rest.pop(0))
        elif is_joined:
            others[name] = value
        else:
            others[name] = None if "=" in following or following.startswith("-") or not rest else rest.pop(0)
    if others:
        raise UserError(_other_flags(others, overrides))
    return [*flags, *overrides]


def check_names(arguments: Sequence[str]) -> None:
    """Refuse `model.name=mini`: it is meant to choose a shape, and would only rename the chosen one.

    Raises:
        UserError: a group's name is set to that of another of its options.
    """
    try:
        given = {override.key_or_group: override for override in _parsed(arguments)}
    except OverrideParseException:
        return
    for group in ("model", "device"):
        override = given.get(f"{group}.name")
        chosen = given.get(group)
        value = None if override is None else override.value()
        if value in options_of(group) and (chosen is None or chosen.value() != value):
            raise UserError(f"{group}.name={value} only sets a name; {group}={value} chooses the option")


def flags_of(arguments: Sequence[str]) -> list[str]:
    """Those of the arguments that choose Hydra's config, with their values: neither overrides nor `-m`."""
    flags = ("--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd")
    found = []
    for argument, following in pairwise([*arguments, ""]):
        if argument in flags:
            found += [argument, following]
        elif argument.startswith(tuple(f"{flag}=" for flag in flags)):
            found.append(argument)
    return found


def _parsed(arguments: Sequence[str]) -> list[Override]:
    """The arguments that are overrides."""
    overrides = [argument for argument in arguments if re.match(r"[+~]*[\w./@]+=", argument)]
    return OverridesParser.create().parse_overrides(overrides)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


@cache
def _valid() -> list[str]:
    """Every key of the config, and the groups."""
    of_hydra = flatten({"hydra": OmegaConf.to_container(OmegaConf.structured(HydraConf))})
    return [*known_keys(), *target_keys(), *config_groups(), *of_hydra]


def _unknown(key: str, arguments: Sequence[str]) -> str:
    """The line for a key that does not exist, with what it is likely to stand for."""
    given = next((argument for argument in arguments if re.match(rf"[+~]*{re.escape(key)}=", argument)), None)
    meant = _meant(key, given and given.partition("=")[2], arguments)
    return f"there is no config key {key}; {f'did you mean {meant}?' if meant else _HELP}"


def _meant(key: str, value: str | None, arguments: Sequence[str]) -> str | None:
    """The overrides that `key=value` is likely to stand for, of which it is sure that Hydra takes them."""
    written = key.replace("-", "_").lower()
    near = nearest(key, _valid())
    candidates: list[tuple[str, ...]] = []
    if value and "." not in written:
        groups = [group for group in config_groups() if value in options_of(group) and value != "default"]
        # A group by its own name or a like one, any by the name of its option: `config=tiny`, `resume=tiny`.
        candidates += [
            (f"{group}={value}",) for group in groups if not near or group in near or near[0] in config_groups()
        ]
        candidates += [(f"{group}={value}",) for group in groups if near[:1] and near[0].startswith(f"{group}.")]
        if _DATA_FILE.search(value) and ("data" in near or "data.path" in near or key == "data"):
            candidates.append(("data=text", f"data.path={value}"))
    for name in near:
        if value is None or name in config_groups():
            candidates.append((name if value is None else f"{name}={value}",))
            continue
        candidates.append((f"{name}={value}",))
        candidates += [(option, f"{name}={value}") for option in options_with(name)]
        candidates.append((f"+{name}={value}",))
    for overrides in candidates:
        if value is None or _composes(overrides, arguments):
            return shlex.join(overrides)
    # Its value is another mistake, reported once the key is right.
    return near[0] if near and near[0] not in config_groups() else None


def _composes(overrides: Sequence[str], arguments: Sequence[str]) -> bool:
    """Whether Hydra takes the overrides, beside the groups' options that the arguments choose."""
    chosen = [f"{group}={option}" for group in config_groups() for option in options_of(group)]
    groups = [argument for argument in arguments if argument in chosen and argument not in overrides]
    named = {override.partition("=")[0] for override in overrides}
    groups = [argument for argument in groups if argument.partition("=")[0] not in named]
    try:
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            compose("train", overrides=["output_dir=unused", *groups, *overrides])
    except Exception:  # whatever Hydra has against it
        return False
    return True


def _not_overridden(key: str, arguments: Sequence[str]) -> str:
    """`trainer.profiler=simple`: a key that no YAML file of this run sets; most often, there is none of this name."""
    if key in _PLUGINS:
        return f"{key} needs a plug-in of Hydra that is not installed: pip install {_PLUGINS[key]}"
    if key not in _valid():
        return _unknown(key, arguments)
    if options := options_with(key):
        return f"{key} goes with {' or '.join(options)}, which this run is not"
    return f"{key} is not in this config yet; add it with a plus sign: +{key}=…"


def _several_values(override: str, key: str, value: str, arguments: Sequence[str]) -> str:
    """`optimizer.lr=1e-3,3e-4`, which a sweep would try one after another, or `optimizer.lr=0,001`."""
    name = key.lstrip("+")
    if name not in _valid() and not re.match(r"(callbacks|logger|hydra)\.", name):
        return _unknown(name, arguments)
    point = f"{key}={value.replace(',', '.')}"
    if name in decimal_keys() and re.fullmatch(r"[+-]?\d+,\d+(e[+-]?\d+)?", value, re.IGNORECASE):
        if re.match(r"[+-]?0+,|[+-]?\d+,0", value):
            return f"{override} has a decimal comma; write {point}"
        return f"{override} is two values; with a decimal point it is {point}; add -m to try both one after another"
    as_list = f", or write {key}=[{value}]" if key in _LISTS else ""
    return f"{override} is several values; add -m to try them one after another{as_list}"


def _other_flags(flags: dict[str, str | None], overrides: Sequence[str]) -> str:
    """`--epochs 10 --config tiny`: the overrides that options of other programs stand for."""
    meant = []
    for flag, value in flags.items():
        name = flag.lstrip("-")
        whole = name.replace("-", "_")
        group = next((group for group in config_groups() if name in options_of(group)), None)
        if value is None and group is not None:  # `--cpu`
            found: str | None = f"{group}={name}"
        elif whole in _valid() and value is not None and _composes([f"{whole}={value}"], overrides):
            found = shlex.join([f"{whole}={value}"])
        else:
            found = _meant(whole, "true" if value is None else value, overrides) if len(name) > 1 else None
        meant.append(found)
    which = ", ".join(flags)
    no = "is no option" if len(flags) == 1 else "are no options"
    known = " ".join(found for found in meant if found)
    unknown = [flag for flag, found in zip(flags, meant, strict=True) if not found]
    hint = f": {known}" if known else ", as in trainer.max_epochs=10"
    if unknown:
        hint += f"; for {', '.join(unknown)} {_HELP}"
    return f"{which} {no} of lai-train; settings are written KEY=VALUE{hint}"


def _unreadable(error: OverrideParseException, arguments: Sequence[str]) -> str:
    """`data.path=~/szöveg.txt`: what Hydra cannot read, and how to write it where the value is meant as a text."""
    if "=" not in error.override.strip("="):
        return _no_override(error.override, arguments)
    message = f"cannot read the override {error.override!r}"
    key, _, value = error.override.partition("=")
    quoted = f'{key}="{value}"'
    try:
        readable = value and not re.search(r"""[\[\]{}"'\\$]""", value) and _parsed([quoted])
    except OverrideParseException:
        readable = False
    if readable:
        return f"{message}; such a value needs quotation marks, and those of the shell around them: '{quoted}'"
    return f"{message}: {first_line(error)}"


def _no_override(word: str, arguments: Sequence[str]) -> str:
    """`model nano`, `data.path = my.txt`, `my.txt`: a word that sets nothing, and what it may be part of."""
    place = list(arguments).index(word) if word in arguments else 0
    before, after = ([*arguments[:place]] or [""])[-1], ([*arguments[place + 1 :]] or [""])[0]
    key, _, value = word.strip("=").partition(":")
    options = [f"{group}={word}" for group in config_groups() if word in options_of(group) and word != "default"]
    meant: str | None
    if before.endswith("=") and before.count("=") == 1:
        meant = shlex.join([before + word])
    elif after.startswith("="):  # `data.path = my.txt`
        value = after[1:] or ([*arguments[place + 2 :]] or [""])[0]
        meant = shlex.join([f"{word}={value}"])
    elif word == "help":
        meant = "--help"
    elif options:
        meant = options[0]
    elif word.endswith(".ckpt"):
        meant = shlex.join([f"ckpt_path={word}"])
    elif _DATA_FILE.search(word):
        meant = shlex.join(["data=text", f"data.path={word}"])
    else:
        value = value or (after if after and not re.search("^-|=", after) else "")
        given = _composes([f"{key}={value}"], arguments) if value and key in _valid() else False
        meant = shlex.join([f"{key}={value}"]) if given else _meant(key, value, arguments) if value else None
    hint = f"; did you mean {meant}?" if meant else ", as in trainer.max_epochs=10"
    return f"{word!r} sets nothing: settings are written KEY=VALUE, without spaces{hint}"


def _missing_option(error: MissingConfigException, arguments: Sequence[str]) -> str:
    """`model=tinyy`: the group's option that does not exist, and those that do."""
    missing = error.missing_cfg_file or ""
    group, _, option = missing.rpartition("/")
    for override in _parsed(arguments):
        if f"{override.key_or_group}/{override.value()}" == missing:
            group, option = override.key_or_group, str(override.value())
    for plugin, package in _PLUGINS.items():
        if missing == plugin or missing.startswith(f"{plugin}/"):
            return f"{group}={option} needs a plug-in of Hydra that is not installed: pip install {package}"
    options = sorted({*(error.options or ()), *(options_of(group) if group in config_groups() else ())} - {"base"})
    if not options:
        meant = _meant(group, option, arguments) if group else None
        hint = f"did you mean {meant}?" if meant else f"the groups are {', '.join(config_groups())}"
        return f"there is no config group {group or option!r}; {hint}"
    meant = _meant_option(group, option, options)
    hint = f"; did you mean {meant}?" if meant else ""
    return f"{group}={option} does not exist: {group} is one of {', '.join(options)}{hint}"


def _meant_option(group: str, option: str, options: Sequence[str]) -> str | None:
    """What an option that a group does not have is likely to stand for."""
    if group == "data" and _DATA_FILE.search(option):
        return shlex.join(["data=text", f"data.path={option}"])
    if (group, option.lower()) == ("data", "parallel"):  # its name in earlier versions
        return "data=text, which reads translation pairs, too"
    if (group, option.lower()) == ("device", "gpu"):
        return "device=auto, which takes the GPU that there is"
    if group == "logger" and option in _LOGGERS:
        return f"+logger.{option}._target_=lightning.pytorch.loggers.{_LOGGERS[option]}"
    if group == "trainer" and option in ("ddp", "fsdp"):
        return f"trainer.strategy={option}"
    stem = Path(option).stem.lower()
    close = [stem] if stem in options else difflib.get_close_matches(stem, options, n=1)
    return f"{group}={close[0]}" if close else None


def _unnamed_option(arguments: Sequence[str]) -> str:
    for override in _parsed(arguments):
        if override.key_or_group in config_groups() and not isinstance(override.value(), str):
            options = ", ".join(options_of(override.key_or_group))
            return f"{override.input_line} is no option of {override.key_or_group}: it is one of {options}"
    return "a config group takes the name of one of its options, as in model=tiny"
