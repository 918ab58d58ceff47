"""Token files whose every token occurs once, and a data module over them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from torch import Tensor

from lai.data.datamodule import CorpusDataModule
from lai.data.tokens.token_file import TokenFile, TokenWriter

SEQ_LEN = 16


Batch = dict[str, Tensor]


def token_file(path: Path, sizes: Iterable[int]) -> TokenFile:
    """Documents of which each token occurs once in the whole file, so that a prediction is known by its target."""
    sizes = np.array(list(sizes))
    with TokenWriter(path, "uint32") as writer:
        writer.add(np.arange(10, 10 + sizes.sum()), sizes, 0)
    return TokenFile(path, "uint32")


def every_target(file: TokenFile) -> list[int]:
    return [token for index in range(len(file)) for token in file.document(index)[1:].tolist()]


def targets(batches: Iterable[Batch]) -> list[int]:
    return [target for batch in batches for target in batch["targets"][batch["targets"] >= 0].tolist()]


def module(train: TokenFile, val: TokenFile, **settings: int) -> CorpusDataModule:
    return CorpusDataModule(train, val, **{"seq_len": SEQ_LEN, "batch_size": 4, "seed": 1, **settings})  # type: ignore[arg-type]
