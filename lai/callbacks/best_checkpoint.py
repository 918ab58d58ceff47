"""The best checkpoint: the weights with the lowest `val/loss`, for export."""

from typing import Any

import lightning
from lightning.pytorch.callbacks import ModelCheckpoint

from lai.model.module import LanguageModel


class BestCheckpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint for `val/loss`, without the optimizer's state: two thirds of the file's size.

    Lightning's `save_weights_only` would also leave out what other callbacks put into checkpoints, such as averaged
    weights.
    """

    keeps_state = False
    """Whether the optimizer's state is written, too, so that a run can resume from this checkpoint."""

    def _generate_state_key(self, **kwargs: Any) -> str:
        return f"{ModelCheckpoint.__qualname__}{kwargs!r}"  # as checkpoints have always named it

    def _save_checkpoint(self, trainer: lightning.Trainer, filepath: str) -> None:
        module = trainer.lightning_module
        if self.keeps_state or not isinstance(module, LanguageModel):
            super()._save_checkpoint(trainer, filepath)
            return
        with module.without_optimizer_state():
            super()._save_checkpoint(trainer, filepath)
