"""Folders of checkpoints outside the run's own: none that holds another run's, which would be overwritten."""

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain, count
from pathlib import Path

from filelock import FileLock, Timeout

from lai.config.schema import RunConfig
from lai.host.files import is_below, with_home

log = logging.getLogger(__name__)


@contextmanager
def free_folders(run: RunConfig) -> Iterator[None]:
    """Give every `dirpath` of a callback outside the run's folder the next free name, and hold it.

    A folder is free where no other run holds it and it has no checkpoints, or those of the run that this one resumes.
    """
    with ExitStack() as held:
        chosen: dict[str, str] = {}
        for key, node in run.callbacks.items():
            wanted = node.get("dirpath")
            if not isinstance(wanted, str) or "://" in wanted or is_below(with_home(wanted), run.output_dir):
                continue
            if wanted not in chosen:
                chosen[wanted] = _claim(wanted, run.ckpt_path, held)
            if chosen[wanted] != wanted:
                log.info("callbacks.%s: %s holds another run's checkpoints; %s is used", key, wanted, chosen[wanted])
                node["dirpath"] = chosen[wanted]
        yield


def _claim(wanted: str, checkpoint: str | None, held: ExitStack) -> str:
    """The first of `wanted`, `wanted-1`, … that is free; its lock is released with `held`."""
    for name in chain([wanted], (f"{wanted}-{number}" for number in count(1))):
        folder = with_home(name)
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            continue
        if _is_free(folder, checkpoint):
            held.callback(lock.release)
            return name
        lock.release()
    raise AssertionError


def _is_free(folder: Path, checkpoint: str | None) -> bool:
    found = sorted(folder.glob("*.ckpt"))
    if not found:
        return True
    if checkpoint is None:
        return False
    from lai.export.checkpoint import run_of  # takes seconds to import

    run = run_of(Path(os.path.realpath(with_home(checkpoint))))
    return run is not None and all(run_of(path) == run for path in found if not path.is_symlink())
