"""Drops the optimizer's state from the file of a checkpoint."""

import os
from pathlib import Path

from lai.export.checkpoint import read_content
from lai.export.checkpoint_file import write_plain
from lai.model.dropped_state import drop_state, has_state


def drop_optimizer_state(path: Path) -> int:
    """Write a checkpoint again without the optimizer's state.

    Returns:
        The bytes that this frees; 0 where there was no state.

    Raises:
        UserError: the file is not a checkpoint, or is damaged.
        OSError: it cannot be written; the file is then as before.
    """
    content = read_content(path, mapped=os.name != "nt")  # Windows replaces no file that is mapped
    if not has_state(content):
        return 0
    before = path.stat().st_size
    drop_state(content)
    write_plain(content, path)
    return before - path.stat().st_size
