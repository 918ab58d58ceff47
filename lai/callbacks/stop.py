"""Ctrl-C and SIGTERM end training between two batches, with a checkpoint to go on from."""

import signal
import threading
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopBetweenBatches(Callback):
    """Turns the first Ctrl-C or SIGTERM into a KeyboardInterrupt when the batch is done.

    Raised wherever the program happens to be, it could leave a logger's queue locked for ever. A second signal acts at
    once.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.checkpoint: Path | None = None
        self._handlers: dict[int, Any] = {}

    def on_train_start(self, *_: Any) -> None:
        # Later than Lightning, whose own handler for SIGTERM would end training without a word.
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, self._note) for number in _SIGNALS}

    def _note(self, number: int, *_: Any) -> None:
        self.received = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        self._stop(trainer)

    def on_validation_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        self._stop(trainer)

    def _stop(self, trainer: lightning.Trainer) -> None:
        if self.received is None:
            return
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.save_last and callback.dirpath:
                self.checkpoint = Path(callback.dirpath) / "last.ckpt"
                trainer.save_checkpoint(self.checkpoint)
        raise KeyboardInterrupt

    def on_fit_end(self, *_: Any) -> None:
        self._restore()

    def on_exception(self, *_: Any) -> None:
        self._restore()
