"""Callbacks that tests add to whole runs, and what runs with them exported."""

import torch
from lightning.pytorch.callbacks import Callback

from lai.callbacks.stop import StopBetweenBatches
from lai.data.prepare import prepare_corpus
from lai.export.lai_file import read_model
from lai.model.transformer import ModelConfig, Transformer
from lai.run.build import build_datamodule
from lai.tokenizer.targets import IGNORE_INDEX

LIGHTNING = "lightning.pytorch.callbacks"


THREE_EPOCHS = ("trainer.max_epochs=3", "trainer.check_val_every_n_epoch=1")
"""Overrides: three epochs, each with a validation at its end."""


def with_callback(run, path, **arguments):
    """The run with the callback of this dotted path."""
    run.callbacks["added"] = {"_target_": path, **arguments}
    return run


def measured(run, weights):
    """The validation loss of a network with these weights: nats a token, computed without Lightning."""
    corpus = prepare_corpus(run.data)
    network = Transformer(ModelConfig.of(run.model, len(corpus.vocab)))
    network.load_state_dict({name: torch.as_tensor(weight) for name, weight in weights.items()}, strict=False)
    nats = tokens = 0.0
    with torch.no_grad():
        for batch in build_datamodule(run, corpus).val_dataloader():
            nats += float(network(batch["tokens"], batch["documents"], targets=batch["targets"]))
            tokens += int((batch["targets"] != IGNORE_INDEX).sum())
    return nats / tokens


def exported(tmp_path):
    """The weights in the model file of a run."""
    return read_model(tmp_path / "model.bin").weights


class SignalAt(Callback):
    """Does what a signal does, at the start of the training batch or of the validation with this number, from 1."""

    def __init__(self, batch=None, validation=None):
        self.batch, self.validation = batch, validation
        self.batches = self.validations = 0

    def on_train_batch_start(self, trainer, *_):
        self.batches += 1
        if self.batches == self.batch:
            self._signal(trainer)

    def on_validation_start(self, trainer, *_):
        self.validations += 1
        if self.validations == self.validation:
            self._signal(trainer)

    def _signal(self, trainer):
        next(callback for callback in trainer.callbacks if isinstance(callback, StopBetweenBatches)).received = 2


class Spoil(Callback):
    """Multiplies a norm's weights when this epoch begins, from 0."""

    def __init__(self, epoch, factor):
        self.epoch, self.factor = epoch, factor

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            with torch.no_grad():
                pl_module.model.final_norm.weight.mul_(self.factor)


def spoilt(run, epoch, factor):
    """The run, whose loss rises in this epoch."""
    run.callbacks["spoil"] = {"_target_": f"{__name__}.Spoil", "epoch": epoch, "factor": factor}
    return run
