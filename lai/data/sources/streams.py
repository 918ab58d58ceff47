"""The bytes and lines of a file, unpacked, read in memory that does not grow with it."""

import gzip
import io
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

from lai.data.sources.encoding_guess import refuse_other_encodings
from lai.data.sources.kinds import packing_of
from lai.host.errors import UserError, first_line

GUESSED_BYTES = 1 << 16  # of a file's beginning, whose encoding is guessed
UTF8_BOM = b"\xef\xbb\xbf"
MAX_LINE = 1 << 26
"""Bytes of a line, a row or a document: far more than any has, and little enough to be held several times over."""
_MAX_PLACES = 5
_MAX_RATIO = 100
_MIN_LIMIT = 1_000_000_000


@dataclass
class CorpusCounts:
    """What reading a corpus counts. `bytes_read` counts bytes on the disk (packed where packed), for progress.

    `bad_rows` counts the rows that are left out because they are faulty; `bad_places` names the first ones.

    `max_unpacked` is `data.max_unpacked`: the bytes that a packed file may unpack to. None: a hundred times its size,
    and 1 GB in any case. Text packs to a third, tables of numbers and tags to a thirtieth; a file that was made to fill
    a disk, to a thousandth.
    """

    documents: int = 0
    empty: int = 0
    skipped: int = 0
    bytes_read: int = 0
    bad_rows: int = 0
    bad_places: list[str] = field(default_factory=list)
    max_unpacked: int | None = None

    def check_unpacked(self, path: Path, size: int) -> None:
        """Refuse a packed file that unpacks to so many bytes or more.

        Raises:
            UserError: they are more than it may.
        """
        packed = path.stat().st_size
        limit = max(_MIN_LIMIT, _MAX_RATIO * packed) if self.max_unpacked is None else self.max_unpacked
        if size > limit:
            raise UserError(
                f"{path} has {packed:,} bytes and unpacks to more than {limit:,}; if that is right, allow it: "
                "data.max_unpacked=BYTES"
            )

    def add_bad_row(self, where: str) -> None:
        self.bad_rows += 1
        if len(self.bad_places) < _MAX_PLACES:
            self.bad_places.append(where)


def read_chunks(path: Path, counts: CorpusCounts, size: int) -> Iterator[bytes]:
    """The bytes of a file in pieces of at most `size`, unpacked, without a byte order mark.

    Raises:
        UserError: the file cannot be read or is damaged.
    """
    with damage_as_user_error(path), open_stream(path, counts) as file:
        chunk = file.read(size)
        refuse_other_encodings(path, chunk[:GUESSED_BYTES])
        chunk = chunk.removeprefix(UTF8_BOM)
        while chunk:
            yield chunk
            chunk = file.read(size)


def read_lines(path: Path, counts: CorpusCounts) -> Iterator[tuple[int, bytes]]:
    """The lines that hold text, with their numbers from 1, without line end and byte order mark."""
    for number, line in enumerate(raw_lines(path, counts), start=1):
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        if line.strip():
            yield number, line
        else:
            counts.empty += 1


def raw_lines(path: Path, counts: CorpusCounts) -> Iterator[bytes]:
    """All lines, blank ones too, with their line ends, without byte order mark."""
    with open_stream(path, counts) as file:
        for number, line in enumerate(iter(partial(file.readline, MAX_LINE + 1), b""), start=1):
            if len(line) > MAX_LINE:
                raise long_line(path, number)
            if number == 1:
                refuse_other_encodings(path, line + file.peek(GUESSED_BYTES))
                line = line.removeprefix(UTF8_BOM)
            yield line


def long_line(path: Path, number: int) -> UserError:
    """The error of a line that has more than `MAX_LINE` bytes."""
    return UserError(f"{path}:{number}: found a line of more than 64 MB; expected a row or a text a line")


def beginning(path: Path, size: int) -> bytes:
    """The first `size` bytes of a file, unpacked, without byte order mark.

    Raises:
        UserError: the file cannot be read or is damaged.
    """
    return next(read_chunks(path, CorpusCounts(), size), b"")


@contextmanager
def open_stream(path: Path, counts: CorpusCounts) -> Iterator["io.BufferedReader[Any]"]:
    """The bytes of a file, unpacked where its name ends in `.gz` or `.zst`."""
    with io.BufferedReader(_CountedFile(path, counts), 1 << 16) as file:
        packing = packing_of(path)
        if packing == ".gz":
            with _UnpackedFile(_LimitedFile(path, gzip.GzipFile(fileobj=file), counts), 1 << 16) as unpacked:
                yield unpacked
        elif packing == ".zst":
            with _UnpackedFile(_LimitedFile(path, _ZstdFile(path, file), counts), 1 << 16) as unpacked:
                yield unpacked
        else:
            yield file


@contextmanager
def seekable(stream: IO[bytes]) -> Iterator[IO[bytes]]:
    """The stream itself, or a temporary copy where it is packed: Parquet is read from its end."""
    if isinstance(stream, _UnpackedFile):
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(stream, copy, 1 << 20)
            yield copy
    else:
        yield stream


@contextmanager
def damage_as_user_error(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is a damaged gzip file ({error}); expected a whole one, fetch it again") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or first_line(error)}") from error


class _CountedFile(io.FileIO):
    """A file that counts the bytes read from it."""

    def __init__(self, path: Path, counts: CorpusCounts) -> None:
        super().__init__(path)
        self._counts = counts

    def readinto(self, buffer: Any, /) -> int | None:
        size = super().readinto(buffer)
        self._counts.bytes_read += size or 0
        return size


class _UnpackedFile(io.BufferedReader):
    """The content of a packed file."""


class _LimitedFile(io.RawIOBase):
    """The content of a packed file up to the size that is allowed."""

    def __init__(self, path: Path, content: Any, counts: CorpusCounts) -> None:
        self._path, self._content, self._counts = path, content, counts
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        size: int = self._content.readinto(buffer)
        self._size += size
        self._counts.check_unpacked(self._path, self._size)
        return size


class _ZstdFile(io.RawIOBase):
    """The content of a Zstandard file. Arrow unpacks it, which LAi needs for Parquet anyway."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        import pyarrow

        if not pyarrow.Codec.is_available("zstd"):
            raise UserError(
                f"{path} cannot be unpacked: pyarrow was built without Zstandard; unpack it: zstd -d {path}"
            )
        self._path = path
        self._content = pyarrow.input_stream(file, compression="zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        try:
            size: int = self._content.readinto(buffer)
        except OSError as error:
            if error.errno is not None:  # of the file itself, not of its content
                raise
            raise UserError(
                f"{self._path} is a damaged Zstandard file ({error}); expected a whole one, fetch it again"
            ) from error
        return size
