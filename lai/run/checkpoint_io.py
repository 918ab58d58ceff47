"""Checkpoints are written whole or not at all, read strictly, and removed in the run's own folder only."""

import logging
from pathlib import Path
from typing import Any

from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from lai.export.checkpoint import read_content
from lai.export.checkpoint_file import write_plain
from lai.host.files import is_below

log = logging.getLogger(__name__)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a temporary file beside the checkpoint, then renames it.

    Lightning's own class collects the checkpoint in memory and writes it to the system's temporary folder. Where that
    is another disk, the file is copied over the old checkpoint, which is not atomic.

    Args:
        folder: the run's folder; a file elsewhere is only removed where this object has written it.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        super().__init__()
        self._folder = folder
        self._written: set[str] = set()

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        self._written.add(str(path))
        if "://" in str(path):  # an object store, which Lightning knows how to write to
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        path = Path(path)
        if path.is_symlink():  # with save_last=link last.ckpt links to another checkpoint, which must not change
            path.unlink()
        write_plain(checkpoint, path)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """All that is in a checkpoint, on the CPU.

        Raises:
            UserError: the file is damaged or not a checkpoint of `lai.train`.
        """
        return read_content(path, mapped=False)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint of this run; leave any other file, and every folder."""
        is_own = str(path) in self._written
        if "://" in str(path) and is_own:
            super().remove_checkpoint(path)
            return
        path = Path(path)
        inside = self._folder is not None and is_below(path.parent, self._folder)
        if (is_own or inside) and (path.is_file() or path.is_symlink()):
            path.unlink()
        else:
            log.debug("not removed, as it is none of this run's checkpoints: %s", path)
