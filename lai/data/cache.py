"""Cached files: each is built once, and its sidecar says what it must contain."""

import errno
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lai.host.errors import UserError
from lai.host.files import atomic_write, file_digest, read_json

_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)

log = logging.getLogger(__name__)


def fingerprint(settings: Mapping[str, Any]) -> str:
    """A name for these settings: 16 hexadecimal digits of the SHA-256 of its JSON form."""
    return sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def cached_file(path: Path, build: Callable[[Path], Mapping[str, Any]]) -> dict[str, Any]:
    """Make sure that `path` holds what `build(path)` wrote, and return the facts that `build` returned.

    The file is built if it is missing or differs by a byte from what was built. Processes that need it at the same time
    wait for the one that builds it. `build` must write atomically.

    Raises:
        UserError: the folder cannot be written to.
    """
    sidecar = path.with_name(path.name + ".json")
    with locked(path):
        facts = _facts_if_intact(path, sidecar)
        if facts is None:
            facts = dict(build(path))
            with atomic_write(sidecar) as file:
                file.write(json.dumps({"sha256": file_digest(path), "facts": facts}, indent=1).encode())
    return facts


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file or folder in the cache; wait for another process that builds it.

    What is there already is used without a lock where none can be made: it appears whole, and nobody builds it there.

    Raises:
        UserError: its folder cannot be written to.
    """
    lock = FileLock(path.with_name(path.name + ".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.warning("another process is building %s; waiting for it", path)
            lock.acquire()
    except OSError as error:
        if error.errno in _READ_ONLY and path.exists():
            yield
            return
        raise UserError(
            f"{path.parent} cannot be written to: {error.strerror}; give another folder: data.cache_dir=FOLDER"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _facts_if_intact(path: Path, sidecar: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        saved = read_json(sidecar)
        if saved["sha256"] == file_digest(path):
            return dict(saved["facts"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    log.warning("%s does not hold what was written there; it is built again", path)
    return None
