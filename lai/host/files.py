"""Opening a user's files, and atomic writes: a crash at any moment leaves the whole old file or the whole new one."""

import errno
import filecmp
import hashlib
import itertools
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

from filelock import FileLock

from lai.host.errors import UserError
from lai.host.temporary import held

MAX_TEXT = 256_000_000
"""Bytes of a prompt or of a small text file, far more than any has; the engine's limit, too (text_input.cpp)."""

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # errors of a full disk, which do not name the file


def sync_directory(path: Path) -> None:
    """Make renames inside `path` durable (a no-op where directories cannot be opened, as on Windows)."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def with_home(path: Path | str) -> Path:
    """`path` with a leading `~` or `~name` replaced by that home folder.

    Raises:
        UserError: there is no such user, or their home is not known.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UserError(f"{path}: no home folder is known for {Path(path).parts[0]}; write the folder out") from None


def check_regular(path: Path | str, what: str = "") -> os.stat_result:
    """The status of a file that is to be read, links followed.

    Opening a pipe waits for a writer, perhaps for ever; a device may never end.

    Args:
        what: the kind of file, for the message: `the model file`.

    Raises:
        UserError: it is missing, or no regular file.
    """
    try:
        status = Path(path).stat()
    except (OSError, ValueError) as error:  # of a name with a zero byte, ValueError
        raise UserError(f"cannot read {_named(path, what)}: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "no file")
        raise UserError(f"cannot read {_named(path, what)}: it is {kind}; expected a regular file")
    return status


def open_regular(path: Path | str, what: str = "") -> BufferedReader:
    """Open a file for reading bytes.

    Raises:
        UserError: it is missing, cannot be read, or is no regular file (`check_regular`).
    """
    check_regular(path, what)
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise UserError(f"cannot read {_named(path, what)}: {error.strerror}") from None


def _named(path: Path | str, what: str) -> str:
    return f"{what} {path}" if what else str(path)


def read_regular(path: Path | str, most: int = MAX_TEXT) -> bytes:
    """The bytes of a small file.

    Raises:
        UserError: as `open_regular`, or it has more than `most` bytes.
    """
    with open_regular(path) as file:
        return read_at_most(file, most, str(path))


def read_json(path: Path | str) -> Any:
    """The value in a small JSON file.

    Raises:
        ValueError: it is missing, no regular file, too long, no JSON, or nested too deeply.
    """
    try:
        return json.loads(read_regular(path))
    except (UserError, RecursionError) as error:
        raise ValueError(str(error)) from None


def read_at_most(file: IO[bytes], most: int, name: str) -> bytes:
    """All bytes of an open file or pipe; memory is taken as they come.

    Raises:
        UserError: there are more than `most`, or it cannot be read.
    """
    pieces: list[bytes] = []
    left = most + 1
    try:
        while left and (piece := file.read(min(left, 1 << 20))):
            pieces.append(piece)
            left -= len(piece)
    except OSError as error:
        raise UserError(f"cannot read {name}: {error.strerror}") from None
    if not left:
        raise UserError(f"cannot read {name}: it has more than {most / 1e6:,.0f} MB; expected a shorter text")
    return b"".join(pieces)


def target_of(path: Path | str, magic: bytes = b"") -> Path:
    """The file that is written for `path`: of a symbolic link the target, so that the link stays.

    Args:
        magic: the first bytes of the kind of file that is written; a file that begins otherwise is not replaced.

    Raises:
        UserError: `path` is a folder, or a device or a pipe, which would be replaced, or another kind of file.
    """
    path = Path(os.path.realpath(path))
    if path.is_dir():
        raise UserError(f"{path} is a folder; expected the name of a file to write")
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is no regular file, which writing would replace; expected the name of a file to write")
    if magic and path.exists() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(len(magic)) != magic:
                raise UserError(f"{path} exists and is another kind of file, which would be lost; give another name")
    return path


@contextmanager
def atomic_write(path: Path | str) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path`; sync and rename it to `path` on success, remove it on any error.

    Raises:
        UserError: `path` cannot be written, or is none that should be (`target_of`).
    """
    path = target_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None
    temporary = Path(name)
    try:
        # mkstemp makes the file private (0600); the finished file gets the permissions any new file would have.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        with held(temporary), os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in FULL and error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    sync_directory(path.parent)


def _have_equal_bytes(first: Path, second: Path) -> bool:
    return filecmp.cmp(first, second, shallow=False)


def replace_and_keep(new: Path, path: Path, are_equal: Callable[[Path, Path], bool] = _have_equal_bytes) -> Path | None:
    """Rename `new` to `path`; an earlier file there with other content stays under the next free name.

    The next free name of `a.bin` is `a.1.bin`, then `a.2.bin`. A crash at any moment leaves the earlier file under one
    of its two names. Of several runs that end at once, each keeps the file of the one before.

    Args:
        are_equal: whether two files have the same content; without it, the same bytes.

    Returns:
        The earlier file's new name; None where nothing had to be kept.
    """
    with FileLock(path.with_name(f".{path.name}.lock")):
        if not path.exists() or not path.stat().st_size or are_equal(new, path):
            new.replace(path)
            return None
        kept = _kept_under_another_name(path)
        sync_directory(path.parent)
        new.replace(path)
    return kept


def _kept_under_another_name(path: Path) -> Path:
    for number in itertools.count(1):
        kept = path.with_stem(f"{path.stem}.{number}")
        try:
            os.link(path, kept)
        except FileExistsError:
            continue
        except OSError:  # a file system without hard links
            if os.path.lexists(kept):
                continue
            path.rename(kept)
        break
    return kept


def replace_folder_and_keep(new: Path, path: Path, are_equal: Callable[[Path, Path], bool]) -> Path | None:
    """As `replace_and_keep`, for a folder of files; between two renames there is none of this name.

    Returns:
        The earlier folder's new name; None where nothing had to be kept.
    """
    with FileLock(path.with_name(f".{path.name}.lock")):
        if not path.exists() or not any(path.iterdir()) or are_equal(new, path):
            if path.exists():
                shutil.rmtree(path)
            new.replace(path)
            return None
        numbers = itertools.count(1)
        kept = next(name for n in numbers if not os.path.lexists(name := path.with_stem(f"{path.stem}.{n}")))
        path.rename(kept)
        sync_directory(path.parent)
        new.replace(path)
    return kept


def sync_files(path: Path) -> None:
    """Make a file's content, or that of each file in a folder, durable."""
    for file in path.iterdir() if path.is_dir() else [path]:
        with file.open("r+b") as handle:  # Windows syncs no file that is open for reading only
            os.fsync(handle.fileno())
    if path.is_dir():
        sync_directory(path)


@contextmanager
def atomic_directory(path: Path | str) -> Iterator[Path]:
    """Give a temporary folder to fill; sync its files and rename it to `path` on success, remove it on any error.

    An existing folder at `path` is replaced.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o777 & ~umask)
        with held(temporary):
            yield temporary
        sync_files(temporary)
        if path.exists():
            shutil.rmtree(path)
        temporary.replace(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_directory(path.parent)


def file_digest(path: Path | str) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal; the file is read in pieces."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_below(path: Path | str, folder: Path | str) -> bool:
    """Whether a path is in a folder or is the folder, once links are followed."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
