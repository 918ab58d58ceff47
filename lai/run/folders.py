"""The folder of a run: a new one, or the resumed run's own; never one that holds another run's files."""

import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import chain, count
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from hydra.conf import HydraConf
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from lai.config.load import CONF_DIR
from lai.config.schema import RunConfig
from lai.host.errors import UserError
from lai.host.files import atomic_write, is_below, with_home
from lai.run.resume import is_automatic

_TRAINED = ("checkpoints", "metrics*.csv", "events.out.tfevents.*")
_BEGUN = (".hydra", "train.log")  # what a start leaves that fails before it trains, beside .lock
_LEDGER = "sweep.db"  # of a sweep: lai/sweep/ledger.py
_INPUTS = re.compile(  # inputs stay where they are
    r"ckpt_path|init_from|data\.(path|val_path|vocab_path)|data\.sources\.[^.]+\.(path|val_path)"
)


def set_hydra_defaults(*, chooses_folder: bool) -> None:
    """Make the `hydra` section of conf/train.yaml apply to every primary config, also to a run's own config.yaml.

    Args:
        chooses_folder: whether this process names the run's folder by the time; one process of a run does.
    """
    node = OmegaConf.merge(OmegaConf.structured(HydraConf), OmegaConf.load(CONF_DIR / "train.yaml").hydra)
    if chooses_folder:
        node.callbacks = {"folder": {"_target_": f"{NewFolder.__module__}.{NewFolder.__qualname__}"}}
    ConfigStore.instance().store(group="hydra", name="config", node=node, provider="lai")


class NewFolder(Callback):
    """Gives every run a folder of its own where folders are named by the time: several runs may start in one second.

    An earlier multirun.yaml in a sweep's folder is kept under another name.
    """

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        self._choose(config.hydra.run)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        if folder := self._choose(config.hydra.sweep):
            quoted = folder.replace("\\", "\\\\").replace("'", "\\'")
            config.hydra.overrides.hydra.append(f"hydra.sweep.dir='{quoted}'")  # Hydra composes each job's config again
        if not (Path(config.hydra.sweep.dir) / _LEDGER).exists():  # else the same sweep is resumed, or refused
            move_aside(Path(config.hydra.sweep.dir) / "multirun.yaml")

    @staticmethod
    def _choose(node: DictConfig) -> str | None:
        if "${now:" not in str(OmegaConf.to_container(node, resolve=False)):
            return None
        try:
            node.dir = _make_new(node.dir)
        except OSError:  # Hydra meets the same error and reports it
            return None
        return str(node.dir)


def _make_new(wanted: str) -> str:
    """Make the folder `wanted`; where that exists, `wanted-1`, and so on."""
    for name in chain([wanted], (f"{wanted}-{number}" for number in count(1))):
        try:
            Path(name).mkdir(parents=True)
        except FileExistsError:
            continue
        return name
    raise AssertionError


def move_aside(path: Path) -> None:
    """Number a file or folder that a resumed run writes again: `metrics.csv` becomes `metrics-1.csv`."""
    if path.exists():
        path.rename(next(new for new in (path.with_stem(f"{path.stem}-{n}") for n in count(1)) if not new.exists()))


@contextmanager
def claimed(folder: Path, composed: DictConfig) -> Iterator[None]:
    """Hold the lock of a run's folder, and write into it what Hydra composed.

    A run that resumes a checkpoint of the same folder continues there: an earlier config that differs gets a new name.

    Raises:
        UserError: the folder holds another run's files, or another run is writing to it.
    """
    checkpoint = OmegaConf.select(composed, "ckpt_path")
    continues = isinstance(checkpoint, str) and is_below(with_home(checkpoint), folder)
    continues = continues or is_automatic(composed)  # also where the earlier start had no checkpoint yet
    if not continues:
        refuse_used(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        _stop_log()
        raise UserError(f"another run is writing to {folder}; give this one its own: {_option()}") from None
    try:
        if not continues:
            refuse_used(folder)  # again: another run may have ended meanwhile
        _keep_composed(folder / ".hydra", composed)
        yield
    finally:
        if not any(_found(folder, _TRAINED)):  # a later start may still use the folder
            (folder / "config.yaml").unlink(missing_ok=True)
        lock.release()


def refuse_used(folder: Path) -> None:
    """Refuse a folder that a run has trained in.

    Raises:
        UserError: it holds such a run's files.
    """
    is_a_start = (folder / ".lock").exists()
    if found := sorted(_found(folder, ("config.yaml", *_TRAINED, *(() if is_a_start else _BEGUN)))):
        _stop_log()
        checkpoint = folder / "checkpoints" / "last.ckpt"
        hint = f"; or resume that run: ckpt_path={checkpoint}" if checkpoint.exists() else ""
        raise UserError(f"{folder} holds another run's {found[0]}; give this one a new folder: {_option()}{hint}")


def _found(folder: Path, patterns: Sequence[str]) -> Iterator[str]:
    return (path.name for pattern in patterns for path in folder.glob(pattern))


def _option() -> str:
    if HydraConfig.get().mode.name == "MULTIRUN":  # type: ignore[union-attr]
        return "hydra.sweep.dir=FOLDER"
    return "hydra.run.dir=FOLDER"


def _stop_log() -> None:
    """Write no line into another run's log; nothing is written yet, so the file does not exist either."""
    root = logging.getLogger()
    for handler in root.handlers:
        if isinstance(handler, logging.FileHandler):
            root.removeHandler(handler)


def _keep_composed(folder: Path, composed: DictConfig) -> None:
    """Write the files that Hydra itself writes before a program can check whether the folder is free."""
    folder.mkdir(exist_ok=True)
    hydra = HydraConfig.get()
    _write(composed, folder / "config.yaml")
    _write({"hydra": hydra}, folder / "hydra.yaml")
    _write(hydra.overrides.task, folder / "overrides.yaml")


def _write(config: Any, path: Path) -> None:
    """Write a config; an earlier one of another content gets a new name."""
    data = OmegaConf.to_yaml(config).encode()
    if path.exists() and path.read_bytes() != data:
        move_aside(path)
    with atomic_write(path) as file:
        file.write(data)


def save_config(run: RunConfig, folder: Path) -> None:
    """Write the run's settings as a config that runs again in a new folder."""
    values = _moved(asdict(run), str(folder), "${output_dir}")
    _write(values | {"output_dir": "${hydra:runtime.output_dir}"}, folder / "config.yaml")


def keep_choice(folder: Path, key: str, value: Any) -> None:
    """Write what the run has chosen for a setting that is `auto` into its config, so that it runs again alike."""
    file = folder / "config.yaml"
    if not file.is_file():  # a run of a notebook
        return
    config = OmegaConf.load(file)
    if OmegaConf.select(config, key) == "auto":
        OmegaConf.update(config, key, value)
        with atomic_write(file) as new:
            new.write(OmegaConf.to_yaml(config).encode())


def moved(composed: DictConfig, folder: Path) -> DictConfig:
    """A run's saved config, with the paths in that run's folder moved into `folder`.

    Raises:
        UserError: the command line sets `output_dir`, which is Hydra's to choose.
    """
    values = OmegaConf.to_container(composed, resolve=False)
    assert isinstance(values, dict)
    if any(override.lstrip("+").startswith("output_dir=") for override in HydraConfig.get().overrides.task):
        given = str(composed.output_dir)
        if Path(given) != folder:
            option = _option().partition("=")[0]
            raise UserError(f"output_dir is Hydra's folder; say instead {option}={given}")
        before = _saved_folder()
    else:
        before = values.get("output_dir")
    if not isinstance(before, str) or "${" in before or Path(before) == folder:
        return composed
    config = OmegaConf.create(_moved(values, before, str(folder)) | {"output_dir": str(folder)})
    assert isinstance(config, DictConfig)
    return config


def _saved_folder() -> Any:
    """The `output_dir` in the file of the primary config."""
    hydra = HydraConfig.get()
    for source in hydra.runtime.config_sources:
        path = Path(source.path) / f"{hydra.job.config_name}.yaml"
        if source.provider == "main" and source.schema == "file" and path.is_file():
            found = OmegaConf.load(path)
            return OmegaConf.to_container(found).get("output_dir") if OmegaConf.is_dict(found) else None  # type: ignore[union-attr]
    return None


def _moved(values: Any, before: str, after: str, key: str = "") -> Any:
    """`values` with every path in `before` moved to `after`, except inputs."""
    if isinstance(values, dict):
        return {name: _moved(value, before, after, f"{key}.{name}".lstrip(".")) for name, value in values.items()}
    if _INPUTS.fullmatch(key) or not isinstance(values, str | list):
        return values
    if isinstance(values, list):
        return [_moved(value, before, after, key) for value in values]
    if values == before or values.startswith(before.rstrip(os.sep) + os.sep):
        return after + values[len(before.rstrip(os.sep)) :]
    return values


def check_outputs(run: RunConfig, folder: Path) -> None:
    """Refuse loggers and callbacks that would write into another run's folder.

    Raises:
        UserError: one of their arguments is such a folder, or `checkpoints` in it.
    """
    for group in ("callbacks", "logger"):
        for key, value in _texts(getattr(run, group), group):
            path = Path(value)
            if os.sep not in value or path.is_file() or is_below(path, folder):
                continue
            for other in (path, path.parent):
                if (other / "config.yaml").is_file() and (other / "train.log").is_file():
                    raise UserError(
                        f"{key} is {value}, which another run has written to; give this one ${{output_dir}}"
                    )


def _texts(values: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(values, dict):
        for name, value in values.items():
            yield from _texts(value, f"{key}.{name}")
    elif isinstance(values, str):
        yield key, values
