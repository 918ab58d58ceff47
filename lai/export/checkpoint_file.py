"""The file of a checkpoint: its checksums, and its content as plain data."""

import os
import zipfile
from pathlib import Path
from typing import Any

import torch

from lai.export.lai_file import is_model_file
from lai.host.errors import UserError
from lai.host.files import atomic_write, check_regular

_PIECE = 1 << 20


def read_plain(path: Path, *, mapped: bool = True, verified: bool = True) -> dict[str, Any]:
    """The content of a checkpoint whose checksums match, read without running any code that is in it.

    Args:
        mapped: map the tensors instead of reading them; what nobody uses is then never read.
        verified: compare the checksums, which reads the whole file.

    Raises:
        UserError: the file is missing, no regular file, damaged, or another kind of file.
    """
    check_regular(path, "the checkpoint")
    if verified:
        _verify(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # the errors of the unpickler have no common class
        if isinstance(error, OSError) and error.strerror:
            raise UserError(f"cannot read the checkpoint {path}: {error.strerror}") from None
        raise _not_whole(path) from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a checkpoint of lai.train: it carries no config, vocabulary and weights")
    return content


def write_plain(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        UserError: nothing can be written there.
        OSError: the disk is full, or fails; an earlier file stays.
    """
    try:
        with atomic_write(path) as file:
            torch.save(content, file)
    except RuntimeError as error:  # PyTorch says only that the file is not finished; the cause is the error before
        if isinstance(cause := error.__context__, OSError):
            raise OSError(cause.errno, cause.strerror, str(path)) from None
        raise


def _verify(path: Path) -> None:
    """Compare the archive's entries with their CRC-32, which PyTorch writes but does not check.

    Raises:
        UserError: an entry is damaged, or the archive is not as PyTorch writes it: each entry once, none compressed.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            names = {entry.filename for entry in entries}
            size = file.seek(0, os.SEEK_END)
            stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
            if not stored or len(names) < len(entries) or sum(entry.file_size for entry in entries) > size:
                raise _not_whole(path)
            for entry in entries:
                with archive.open(entry) as content:
                    while content.read(_PIECE):  # at the end it raises BadZipFile where the sum is another
                        pass
    except UserError:
        raise
    except zipfile.BadZipFile as error:
        if "CRC-32" in str(error):
            raise UserError(f"{path} is damaged: its checksum does not match its content; use another copy") from None
        raise _not_whole(path) from None
    except Exception as error:  # a damaged directory of the archive: errors of struct, zlib, text and numbers
        if isinstance(error, OSError) and error.strerror:
            raise UserError(f"cannot read the checkpoint {path}: {error.strerror}") from None
        raise _not_whole(path) from None


def _not_whole(path: Path) -> UserError:
    if is_model_file(path):
        return UserError(f"{path} is a model file; expected a checkpoint of lai.train (.ckpt)")
    return UserError(f"{path} is not a whole checkpoint of lai.train: it is damaged, or another kind of file")
