"""Checks of a run's files before anything is made: inputs can be read, outputs can be written."""

import tempfile
from pathlib import Path

from lai.config.schema import RunConfig
from lai.export.checkpoint import read_checkpoint
from lai.export.formats import check_format
from lai.export.lai_file import ENDING, model_target
from lai.host.errors import UserError
from lai.host.files import check_regular, with_home


def export_path(run: RunConfig) -> Path:
    """Where the model file goes: `export.path`, or the run's folder."""
    return with_home(run.export.path or Path(run.output_dir) / f"lai-{run.model.name}{ENDING}")


def check_files(run: RunConfig, export_path: Path) -> None:
    """Refuse inputs that cannot be read and an output that could not be written, before anything is made with them.

    Raises:
        UserError: a file does not exist; the checkpoint is damaged; the model file's path is a folder, another kind of
            file, or in a place that cannot be written to; a format of `export.formats` cannot hold the model.
    """
    for key, value in (("data.vocab_path", run.data.vocab_path), ("ckpt_path", run.ckpt_path)):
        if value is None or value == run.init_from:  # `init_from` is read already, or no longer needed
            continue
        path = with_home(value)
        if path.is_dir():
            raise UserError(f"{key}={value} is a folder; {_file_in(key, value)}")
        if not path.exists():
            raise UserError(f"{key}={value}: there is no such file")
        check_regular(path, key)
    _check_writable(export_path)
    for name in run.export.formats:
        check_format(name, run.model.activation, run.export.dtype)
    if run.ckpt_path is not None:
        read_checkpoint(with_home(run.ckpt_path))


def _check_writable(export_path: Path) -> None:
    try:
        model_target(export_path)
    except UserError as error:
        raise UserError(f"export.path={error}") from None
    existing = next(folder for folder in export_path.absolute().parents if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise UserError(f"export.path={export_path} cannot be written: {error.strerror}") from None


def _file_in(key: str, folder: str) -> str:
    """Says what to give instead of a folder."""
    if key != "ckpt_path":
        return "give it a file"
    for place in ("checkpoints/last.ckpt", "last.ckpt"):
        if (with_home(folder) / place).is_file():
            return f"give the checkpoint in it: {key}={Path(folder) / place}"
    newest = max(with_home(folder).glob("*.ckpt"), key=lambda path: path.stat().st_mtime, default=None)
    if newest is not None:
        return f"give a checkpoint in it: {key}={Path(folder) / newest.name}"
    return "give it a checkpoint, such as checkpoints/last.ckpt in a run's folder"
