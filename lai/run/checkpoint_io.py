"""Atomic checkpoints: a crash at any moment leaves the whole old file or the whole new one."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from lai.host.files import atomic_write


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a temporary file beside the checkpoint, then renames it.

    Lightning's own class collects the checkpoint in memory and writes it to the system's temporary folder. Where that
    is another disk, the file is copied over the old checkpoint, which is not atomic.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        if "://" in str(path):  # an object store, which Lightning knows how to write to
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        path = Path(path)
        if path.is_symlink():  # with save_last=link last.ckpt links to another checkpoint, which must not change
            path.unlink()
        try:
            with atomic_write(path) as file:
                torch.save(checkpoint, file)
        except RuntimeError as error:  # PyTorch says only that the file is not finished; the cause is the error before
            if isinstance(cause := error.__context__, OSError):
                raise OSError(cause.errno, cause.strerror, str(path)) from None
            raise
