"""Temporary files and folders: each is locked while it is written, so that those of killed programs can be told."""

import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

log = logging.getLogger(__name__)

_OURS = re.compile(r"\..+\.([a-z0-9_]{8}\.tmp|\d+\.unverified)")
_NEW = 60.0
"""Seconds in which a file that was made may not be locked yet."""


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock of a temporary file or folder; the system releases it when the process ends, however it ends."""
    descriptor = _locked(path)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def sweep(folders: Iterable[Path]) -> list[Path]:
    """Remove what killed programs have left in these folders and in theirs, one level down.

    Only files and folders that are named as ours, are older than a minute, and that no process holds. Links are not
    followed.

    Returns:
        What was removed.
    """
    removed = []
    for folder in dict.fromkeys(folder.resolve() for folder in folders):
        for path in sorted({*folder.glob(".*"), *folder.glob("*/.*")}):
            if not path.parent.is_symlink() and is_left(path):
                with suppress(OSError):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                    removed.append(path)
    for path in removed:
        log.debug("removed %s, which a killed run has left", path)
    return removed


def is_left(path: Path) -> bool:
    """Whether a file or folder is one that a killed program has left: named as ours, and held by no process."""
    if not _OURS.fullmatch(path.name) or path.is_symlink():
        return False
    try:
        if time.time() - path.stat().st_mtime < _NEW:
            return False
    except OSError:
        return False
    descriptor = _locked(path)
    if descriptor is None:
        return False
    os.close(descriptor)
    return True


def _locked(path: Path) -> int | None:
    """A descriptor that holds the lock; None where another process holds it, or the file system has none.

    Windows locks no folders: nothing is swept there.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
