"""Checkpoints that tests change."""

import torch


def edited(path, change, target=None):
    """Write the checkpoint's content, changed by `change`, to `target`; its checksums are those of the new content."""
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, target or path)
    return target or path


def make_unversioned(content):
    """The content as lai.train wrote it before checkpoints had a version."""
    for name in ("version", "run", "entries_of_callbacks", "manifest"):
        del content["lai"][name]
    if "callbacks" in content:
        content["callbacks"]["ExportModel"].pop("step", None)
