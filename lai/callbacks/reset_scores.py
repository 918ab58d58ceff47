"""Forgets the best scores where a resumed run validates with other documents."""

import math
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint

from lai.callbacks.best_weights import BestWeights


class ResetScores(Callback):
    """Lets the next validation be the best so far where the checkpoint's scores are of other documents.

    The checkpoint files stay.
    """

    def __init__(self, best: BestWeights) -> None:
        self._best = best

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        if not getattr(trainer.datamodule, "val_changed", False):  # type: ignore[attr-defined]
            return
        self._best.metrics = {}
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            worst = torch.tensor(-math.inf if getattr(callback, "mode", "min") == "max" else math.inf)
            if isinstance(callback, ModelCheckpoint) and callback.monitor:
                callback.best_k_models = {}
                callback.best_model_score = None
                callback.best_model_path = callback.kth_best_model_path = ""
                callback.kth_value = worst
            elif isinstance(callback, EarlyStopping):
                callback.wait_count = 0
                callback.best_score = worst
