"""`resume=auto`: one command starts a run, and resumes it where an earlier start of it was ended."""

import logging
from dataclasses import replace
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from lai.config.schema import RunConfig
from lai.host.errors import UserError
from lai.run.launch import is_first_process

log = logging.getLogger(__name__)


def is_automatic(composed: DictConfig) -> bool:
    """Whether the run resumes by itself what is in its folder."""
    return bool(OmegaConf.select(composed, "resume") == "auto")


def choose_checkpoint(composed: DictConfig, folder: Path) -> None:
    """Set `ckpt_path` to the `last.ckpt` in the run's folder where `resume=auto` and there is one.

    Raises:
        UserError: the command line names no folder, or a checkpoint, too.
    """
    if not is_automatic(composed):
        return
    if composed.ckpt_path is not None:
        raise UserError("resume=auto chooses the checkpoint itself; leave ckpt_path out, or leave resume out")
    if not (named := _named_folders()):
        key = "hydra.sweep.dir" if HydraConfig.get().mode.name == "MULTIRUN" else "hydra.run.dir"  # type: ignore[union-attr]
        raise UserError(f"resume=auto needs the run's folder, the same in each start: {key}=FOLDER")
    if not is_first_process() and len(named) > 1:  # a launcher's process has a temporary folder of its own
        folder = Path(named[0])
    last = folder / "checkpoints" / "last.ckpt"
    if last.is_file():
        composed.ckpt_path = str(last)
    log.info("resume      %s", last if last.is_file() else f"{folder} has no checkpoint yet: the run starts")


def as_started(run: RunConfig) -> RunConfig:
    """The settings to keep of a run: those that start it again from its beginning, in another folder."""
    return replace(run, resume=None, ckpt_path=None) if run.resume == "auto" else run


def _named_folders() -> list[str]:
    """The folders that the command line gives for runs, the first one first."""
    found = (override.partition("=") for override in HydraConfig.get().overrides.hydra)
    return [value.strip("'\"") for key, _, value in found if key.lstrip("+") in ("hydra.run.dir", "hydra.sweep.dir")]
