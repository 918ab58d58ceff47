"""last.ckpt: the newest state of a run, to resume from."""

from pathlib import Path

from lightning.pytorch.callbacks import ModelCheckpoint


class LastCheckpoint(ModelCheckpoint):
    """Writes `last.ckpt` after every validation (without one, after every epoch), and where a run stops or fails.

    Lightning's `save_last` writes it together with a best checkpoint only: once the loss no longer falls, a run would
    resume from its best step instead of its last.
    """

    def __init__(self, dirpath: Path | str) -> None:
        super().__init__(dirpath, filename="last", save_on_exception=True, enable_version_counter=False)

    @property
    def path(self) -> Path:
        return Path(self.format_checkpoint_name({}))
