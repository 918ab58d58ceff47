"""Writing checkpoints so that a crash at any moment leaves the old file or the new one, and each can be read."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from lai.host.files import atomic_write


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the file that is replaced.

    Lightning's own collects the checkpoint in memory and writes it to the system's folder for temporary files, from
    which it is copied over the old one where that is another disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        if "://" in str(path):  # an object store, which Lightning knows how to write to
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        path = Path(path)
        if path.is_symlink():  # last.ckpt to another checkpoint, with save_last=link: that one stays as it is
            path.unlink()
        try:
            with atomic_write(path) as file:
                torch.save(checkpoint, file)
        except RuntimeError as error:  # PyTorch's, about the file that it could not finish; why is what came before
            if isinstance(cause := error.__context__, OSError):
                raise OSError(cause.errno, cause.strerror, str(path)) from None
            raise
