"""Rules of `data.sources`: each mistake is one line that names the source and the key."""

import difflib
import re
from dataclasses import fields
from typing import Any

from lai.config.schema import DataSettings, SourceSettings
from lai.host.errors import UserError

_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_PLACES = ("path", "synthetic", "hub")  # where the text of a source may be, by the key that names it
_OF_PATH = ("columns", "template", "bad_rows", "max_unpacked", "clean")
_NOT_WITH = ("path", "val_path", "columns", "template")  # of `data`: each source has its own


def unknown_of_source(key: str) -> UserError | None:
    """The line for a key that a source does not have; None where `key` is none of a source."""
    parts = key.split(".")
    if parts[:2] != ["data", "sources"] or len(parts) < 4:
        return None
    known = [item.name for item in fields(SourceSettings)]
    if len(parts) > 4:  # of its `synthetic` or `hub`
        return UserError(
            f"data.sources.{parts[2]} has no key {'.'.join(parts[3:])}; its keys are those of data.{parts[3]}"
        )
    near = difflib.get_close_matches(parts[3], known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"its keys are {', '.join(known)}"
    return UserError(f"data.sources.{parts[2]} has no key {parts[3]}; {hint}")


def check_sources(data: DataSettings) -> None:
    """Check a mixture; without one, that nothing is set that is for mixtures only.

    Raises:
        UserError: a name or value that no source can have, or two that contradict each other.
    """
    _check_passes("data.max_epochs", data.max_epochs)
    if data.sources is None:
        if data.max_epochs is not None:
            raise UserError(
                f"data.max_epochs is {data.max_epochs}, but it is for data.sources; the epochs of a run are "
                f"trainer.max_epochs={data.max_epochs}"
            )
        return
    if not data.sources:
        raise UserError("data.sources is empty; name at least one: data.sources={wiki: {path: wiki.txt}}")
    for key in _NOT_WITH:
        if getattr(data, key) is not None:
            raise UserError(f"data.{key} does not go with data.sources; give it to each source: {{{key}: …}}")
    for name, source in data.sources.items():
        if not _NAME.fullmatch(name):
            raise UserError(
                f"data.sources has a source {name!r}; a name is of 1 to 40 letters a to z, digits, - and _, since "
                "curves are named by it"
            )
        _check_source(f"data.sources.{name}", source)
    given = {name for name, source in data.sources.items() if source.weight is not None}
    if given and (missing := [name for name in data.sources if name not in given]):
        raise UserError(
            f"data.sources.{missing[0]} has no weight, but {sorted(given)[0]} has one; give all sources a weight, or "
            "none: then their sizes decide"
        )


def _check_source(key: str, source: SourceSettings) -> None:
    _check_passes(f"{key}.max_epochs", source.max_epochs)
    meant = {name for name in _PLACES if getattr(source, name) is not None}
    if source.source is not None:
        meant.add("path" if source.source == "files" else source.source)
    if not meant or (meant == {"path"} and source.path is None):
        raise UserError(f"{key} has no text; give it a path: {{path: my.txt}}, or {{source: synthetic}}")
    if len(meant) > 1:
        raise UserError(f"{key} has {' and '.join(sorted(meant))}; a source has one of them")
    for name in ("path", "val_path"):
        _check_paths(f"{key}.{name}", getattr(source, name))
    if source.path is None:
        for name in _OF_PATH if "synthetic" in meant else _OF_PATH[:2]:
            if getattr(source, name) is not None:
                instead = f"; with a hub it is {key}.hub.{name}" if "hub" in meant else ""
                raise UserError(f"{key}.{name} is for a source with a path{instead}")


def _check_paths(key: str, paths: Any) -> None:
    given = [] if paths is None else paths if isinstance(paths, list) else [paths]
    if not all(isinstance(path, str) for path in given):
        raise UserError(f"{key} is {paths!r}; it must be a path or a list of paths, numbers in quotes")
    if "" in given or (given == [] and paths is not None):
        raise UserError(f"{key} is empty; give it a path, or leave it out")


def _check_passes(key: str, passes: int | None) -> None:
    if passes is not None and passes < 1 and passes != -1:
        raise UserError(f"{key} is {passes}; it must be at least 1, or -1 for no limit")
