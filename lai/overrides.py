"""Hydra's complaints about the command line, each turned into one line that names the key and the nearest valid one."""

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException

from lai.config import CONF_DIR, known_keys, options_with, target_keys, unknown_key
from lai.errors import UserError, message_of

_LISTS = ("data.path", "data.val_path", "data.synthetic.templates")


def explain(error: Exception, arguments: Sequence[str]) -> UserError | None:
    """The user's mistake behind an exception of Hydra while it composed `arguments`; None where it is not one."""
    if isinstance(error, OSError) and not isinstance(error, HydraException):
        return UserError(message_of(error))
    for cause in _causes(error):
        if isinstance(cause, UserError):
            return cause
        if isinstance(cause, OverrideParseException):
            return UserError(_unreadable(cause))
        if isinstance(cause, MissingConfigException):
            return UserError(_missing_option(cause))
    if isinstance(error, ValueError) and "Config group override" in str(error):  # `model=3`
        return UserError(_unnamed_option(arguments))
    if not isinstance(error, HydraException):
        return None
    valid = [*known_keys(), *target_keys(), *_groups()]
    key = _first_unknown_key(arguments, valid)
    if key:
        return UserError(unknown_key(key, valid))
    if match := re.match(r"(?:Ambiguous value for argument|Sweep parameters) '((.+?)=(.*))'", str(error)):
        as_list = f", or write {match[2]}=[{match[3]}]" if match[2] in _LISTS else ""
        return UserError(f"{match[1]} is several values; add -m to try them one after another{as_list}")
    if match := re.match(r"Could not override '([\w.]+)'", str(error)):  # exists, but no YAML file sets it
        if options := options_with(match[1]):
            return UserError(f"{match[1]} goes with {' or '.join(options)}, which this run is not")
        return UserError(f"{match[1]} is not in this config yet; add it with a plus sign: +{match[1]}=…")
    if match := re.search(r"An item is already at '([\w.]+)'", " ".join(map(str, _causes(error)))):
        return UserError(f"{match[1]} is in this config already; leave out the plus sign: {match[1]}=…")
    if match := re.match(r"Multiple values for ([\w/]+)\.", str(error)):
        if any(argument.startswith(f"+{match[1]}=") for argument in arguments):
            return UserError(f"{match[1]} is in this config already; leave out the plus sign: {match[1]}=…")
        return UserError(f"{match[1]} is given more than once; give it once")
    return UserError(_first_line(error))


def flags_first(arguments: Sequence[str]) -> list[str]:
    """The arguments with `-m` in front: Hydra's parser takes overrides on one side of it only."""
    return sorted(arguments, key=lambda argument: argument not in ("-m", "--multirun"))


def flags_of(arguments: Sequence[str]) -> list[str]:
    """Those of the arguments that choose Hydra's config, with their values: neither overrides nor `-m`."""
    flags = ("--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd")
    found = []
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if argument in flags:
            found += [argument, following]
        elif argument.startswith(tuple(f"{flag}=" for flag in flags)):
            found.append(argument)
    return found


def is_the_same_in_all_jobs(key: str, arguments: Sequence[str]) -> bool:
    """Whether the command line of a sweep is sure to give several jobs one value of `key`."""
    try:
        last = {override.key_or_group: override for override in _parsed(arguments)}
    except OverrideParseException:  # the value of a flag, which only looks like an override
        return False
    given = last.get(key)
    if given is None or given.is_sweep_override() or "${" in str(given.input_line):
        return False
    choices = (list(override.sweep_string_iterator()) for override in last.values() if override.is_choice_sweep())
    return any(len(values) > 1 for values in choices)


def _parsed(arguments: Sequence[str]) -> list[Override]:
    """The arguments that are overrides."""
    overrides = [argument for argument in arguments if re.match(r"[+~]*[\w./@]+=", argument)]
    return OverridesParser.create().parse_overrides(overrides)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0]


def _groups() -> list[str]:
    return sorted(path.name for path in CONF_DIR.iterdir() if path.is_dir())


def _unreadable(error: OverrideParseException) -> str:
    """`data.path=~/szöveg.txt`: what Hydra cannot read, and how to write it where the value is meant as a text."""
    message = f"cannot read the override {error.override!r}"
    key, _, value = error.override.partition("=")
    quoted = f'{key}="{value}"'
    try:
        readable = value and not re.search(r"""[\[\]{}"'\\$]""", value) and _parsed([quoted])
    except OverrideParseException:
        readable = False
    if readable:
        return f"{message}; such a value needs quotation marks, and those of the shell around them: '{quoted}'"
    return f"{message}: {_first_line(error)}"


def _missing_option(error: MissingConfigException) -> str:
    """`model=tinyy`: the group's option that does not exist, and those that do."""
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    folder = CONF_DIR / group
    if not group or not folder.is_dir():
        close = difflib.get_close_matches(group, _groups(), n=1)
        hint = f"did you mean {close[0]}={option}?" if close else f"the groups are {', '.join(_groups())}"
        return f"there is no config group {group or option!r}; {hint}"
    options = sorted(path.stem for path in folder.glob("*.yaml"))
    close = difflib.get_close_matches(Path(option).stem, options, n=1)
    hint = f"; did you mean {group}={close[0]}?" if close else ""
    return f"{group}={option} does not exist: {group} is one of {', '.join(options)}{hint}"


def _unnamed_option(arguments: Sequence[str]) -> str:
    for override in _parsed(arguments):
        if override.key_or_group in _groups() and not isinstance(override.value(), str):
            options = sorted(path.stem for path in (CONF_DIR / override.key_or_group).glob("*.yaml"))
            return f"{override.input_line} is no option of {override.key_or_group}: it is one of {', '.join(options)}"
    return "a config group takes the name of one of its options, as in model=tiny"


def _first_unknown_key(arguments: Sequence[str], valid: Sequence[str]) -> str | None:
    """The first override whose key is none of the `valid` ones."""
    keys = (override.key_or_group for override in _parsed(arguments))
    return next((key for key in keys if key not in valid and not key.startswith("hydra.")), None)
