"""What runs have left in a folder, and which of it nothing needs. Links are not followed, and nothing else is read."""

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from omegaconf import OmegaConf

from lai.export.checkpoint import read_content
from lai.export.optimizer_state import drop_optimizer_state
from lai.host.errors import UserError
from lai.host.files import read_json
from lai.host.temporary import is_left
from lai.model.dropped_state import has_state

_SHARDS = re.compile(r"shards-[0-9a-f]{16}")
_NEW = 3600.0
"""Seconds in which token files may be those of a run elsewhere that has no checkpoint yet."""


@dataclass
class Run:
    """A folder of a run.

    Attributes:
        states: the checkpoints whose optimizer's state nothing needs, with its bytes.
        data: digests of the token files that its checkpoints name; None where one of them does not say.
    """

    folder: Path
    size: int
    is_running: bool = False
    keeps_all: bool = False
    states: dict[Path, int] = field(default_factory=dict)
    data: set[tuple[str, str]] | None = field(default_factory=set)


@dataclass
class Leftovers:
    """What lies in a folder.

    Attributes:
        token_files: those that no run names, with their bytes.
        temporary: files and folders of killed programs, with their bytes.
        caches: folders of token files, with the bytes of all in them.
    """

    runs: list[Run] = field(default_factory=list)
    caches: dict[Path, int] = field(default_factory=dict)
    token_files: dict[Path, int] = field(default_factory=dict)
    temporary: dict[Path, int] = field(default_factory=dict)

    @property
    def removable(self) -> dict[Path, int]:
        """What nothing needs, with its bytes."""
        states = {path: size for run in self.runs for path, size in run.states.items()}
        return states | self.token_files | self.temporary


def find_leftovers(folder: Path) -> Leftovers:
    """Look through a folder.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; expected that of runs, such as outputs")
    found, token_files = Leftovers(), []
    for name, folders, files in os.walk(folder):
        here = Path(name)
        for entry in [*folders, *files]:
            if is_left(here / entry):
                found.temporary[here / entry] = _size(here / entry)
        folders[:] = [entry for entry in folders if here / entry not in found.temporary]
        if "config.yaml" in files and "checkpoints" in folders and not (here / "checkpoints").is_symlink():
            found.runs.append(_run(here))
        shards = [here / entry for entry in folders if _SHARDS.fullmatch(entry) and not (here / entry).is_symlink()]
        if shards:
            found.caches[here] = _size(here)
            token_files += shards
            folders[:] = [entry for entry in folders if here / entry not in shards]
    needed = [run.data for run in found.runs]
    if not any(run.is_running for run in found.runs) and None not in needed:
        named = {digests for data in needed if data is not None for digests in data}
        found.token_files = {path: _size(path) for path in token_files if _is_unnamed(path, named)}
    return found


def _run(folder: Path) -> Run:
    run = Run(folder, _size(folder))
    with _held(folder / ".lock") as is_free:
        run.is_running = not is_free
    contents: dict[Path, dict[str, Any]] = {}
    for path in sorted((folder / "checkpoints").glob("*.ckpt")):
        if path.is_symlink():
            continue
        try:
            contents[path] = read_content(path, mapped=True, verified=False)
        except UserError:  # damaged, or no checkpoint of ours
            run.data = None
    for content in contents.values():
        data = content.get("CorpusDataModule", {})
        if run.data is not None and {"train", "val"} <= data.keys():
            of_sources = data.get("sources", {}).values()
            run.data |= {(str(files["train"]), str(files["val"])) for files in (data, *of_sources)}
        else:  # of an early version
            run.data = None
    settings = _settings(folder / "config.yaml")
    run.keeps_all = bool(OmegaConf.select(settings, "checkpoint.keep") == "all")
    last = contents.get(folder / "checkpoints" / "last.ckpt")
    if last is not None and not run.is_running and not run.keeps_all and _is_finished(last, settings):
        own = last["lai"].get("run")
        run.states = {
            path: _state_size(content)
            for path, content in contents.items()
            if has_state(content) and content["lai"].get("run") == own
        }
    return run


def _settings(path: Path) -> Any:
    try:
        return OmegaConf.create(OmegaConf.to_container(OmegaConf.load(path), resolve=False))
    except Exception:  # whatever the file holds, and the errors of the YAML reader have no common class
        return OmegaConf.create({})


def _is_finished(last: dict[str, Any], settings: Any) -> bool:
    """Whether a checkpoint is that of a run's last step by its settings; a limit of time does not count."""
    trainer = OmegaConf.select(settings, "trainer") or {}
    steps, epochs = trainer.get("max_steps"), trainer.get("max_epochs")
    if type(steps) is int and 0 < steps <= last["global_step"]:
        return True
    batches = last["loops"].get("fit_loop", {}).get("epoch_loop.batch_progress")
    if not isinstance(batches, dict):
        return False
    done = last["epoch"] + bool(batches.get("is_last_batch"))
    return type(epochs) is int and 0 < epochs <= done


def _state_size(content: dict[str, Any]) -> int:
    values = (
        value
        for optimizer in content["optimizer_states"]
        for state in optimizer["state"].values()
        for value in state.values()
    )
    return sum(value.nbytes for value in values if isinstance(value, torch.Tensor))


def _is_unnamed(shards: Path, named: set[tuple[str, str]]) -> bool:
    try:
        if time.time() - shards.stat().st_mtime < _NEW:
            return False
        files = read_json(shards / "meta.json")["files"]
        digests = files["train.idx"]["sha256"], files["val.bin"]["sha256"]
    except (OSError, ValueError, KeyError, TypeError):  # not as it is written: it would be built again
        return (shards / "meta.json").is_file()
    return digests not in named


def remove(found: Leftovers) -> Iterator[tuple[Path, int]]:
    """Remove what nothing needs; yields each path with the bytes that this has freed.

    What another program holds meanwhile, and what cannot be removed, stays.
    """
    for run in found.runs:
        with _held(run.folder / ".lock") as is_free:
            for path in run.states if is_free else ():
                with suppress(UserError, OSError):
                    yield path, drop_optimizer_state(path)
    for path, size in found.token_files.items():
        with _held(path.with_name(f"{path.name}.lock")) as is_free:
            if is_free and _is_removed(path):
                yield path, size
    for path, size in found.temporary.items():
        if is_left(path) and _is_removed(path):
            yield path, size


def _is_removed(path: Path) -> bool:
    try:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    except OSError:
        return False
    return True


@contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Hold the lock in a file; gives whether it could be had. None is made, and one that is a link is not followed."""
    lock = FileLock(path, timeout=0)
    has_lock = path.exists() and not path.is_symlink()
    if has_lock:
        with suppress(Timeout, OSError):
            lock.acquire()
    try:
        yield lock.is_locked if has_lock else not path.is_symlink()
    finally:
        lock.release()


def _size(path: Path) -> int:
    """The bytes of a file, or of all files in a folder; links count as links."""
    total = path.lstat().st_size
    if path.is_dir() and not path.is_symlink():
        for name, _, files in os.walk(path):
            for file in files:
                with suppress(OSError):  # it has gone meanwhile
                    total += (Path(name) / file).lstat().st_size
    return total
