"""Vocabularies in files: a vocabulary file, or a model file, of which nothing else is read (docs/format.md)."""

import struct
from pathlib import Path

from lai.host.errors import UserError
from lai.host.files import open_regular
from lai.tokenizer.vocab import Vocab

MAGIC = b"LAi1"
"""How a model file begins."""

_OFFSET = struct.Struct("<49xQ")  # of a model file's header: where the vocabulary starts


class StoredVocab(Vocab):
    """`lai.Vocab`: a vocabulary whose `load` takes model files, too.

    >>> from lai import Vocab
    >>> Vocab.load("models/lai-tiny.bin").encode("Szia!")  # doctest: +SKIP
    """

    @classmethod
    def load(cls, path: Path | str, offset: int | None = None) -> Vocab:
        """Read the vocabulary of a vocabulary file (`vocab.bin`) or of a model file.

        Raises:
            UserError: the file is missing, foreign, truncated or damaged.
        """
        return super().load(path, _offset_in(path) if offset is None else offset)


load_vocab = StoredVocab.load


def _offset_in(path: Path | str) -> int | None:
    """Where the vocabulary of a model file starts; None where the file is not one."""
    with open_regular(path, "the vocabulary") as file:
        header = file.read(_OFFSET.size)
    if header[: len(MAGIC)] != MAGIC:
        return None
    if len(header) < _OFFSET.size:
        raise UserError(f"{path} ends inside a model file's header ({len(header)} bytes); copy or export it again")
    offset: int = _OFFSET.unpack(header)[0]
    return offset
