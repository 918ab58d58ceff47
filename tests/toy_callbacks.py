"""Callbacks that tests add to whole runs, and what runs with them exported."""

import math
import os

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


class FailAt(Callback):
    """Raises an error in the forward pass of the training batch with this number, from 1."""

    def __init__(self, batch):
        self.left = batch

    def on_train_batch_start(self, trainer, pl_module, *_):
        self.left -= 1
        if self.left == 0:
            pl_module.model.register_forward_hook(_fail)


def _fail(*_):
    raise RuntimeError("the step fails")


class SignalInStep(Callback):
    """Sends this process a signal so many times in the forward pass of the training batch with this number, from 1."""

    def __init__(self, batch, number, times=1):
        self.left, self.number, self.times = batch, number, times

    def on_train_batch_start(self, trainer, pl_module, *_):
        self.left -= 1
        if self.left == 0:
            pl_module.model.register_forward_hook(self._send)

    def _send(self, *_):
        for _ in range(self.times):
            os.kill(os.getpid(), self.number)


class BadLoss(Callback):
    """Makes the loss of the training batches with these numbers, from 1, something else, such as NaN."""

    def __init__(self, batches, value=math.nan, rank=0):
        self.batches, self.value, self.rank = set(batches), value, rank
        self.number = 0
        self.before = self.after = None  # the state before and after the last of these batches
        self._hook = None

    def on_train_batch_start(self, trainer, pl_module, *_):
        self.number += 1
        if self.number in self.batches and trainer.global_rank == self.rank:
            self.before = _state(trainer)
            self._hook = pl_module.model.register_forward_hook(lambda module, given, total: total * self.value)

    def on_train_batch_end(self, trainer, pl_module, *_):
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
            self.after = _state(trainer)


def _state(trainer):
    """Copies of all weights and of what the optimizer keeps of them."""
    (optimizer,) = trainer.optimizers
    weights = {name: weight.detach().clone() for name, weight in trainer.lightning_module.named_parameters()}
    moments = {
        f"{number} {name}": torch.as_tensor(value).clone()
        for number, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }
    return weights | moments


class Spoil(Callback):
    """Multiplies a norm's weights when this epoch begins, from 0."""

    def __init__(self, epoch, factor):
        self.epoch, self.factor = epoch, factor

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            with torch.no_grad():
                pl_module.model.final_norm.weight.mul_(self.factor)


class SpoilAtEnd(Callback):
    """Makes a norm's weights NaN when training ends."""

    def on_train_end(self, trainer, pl_module):
        with torch.no_grad():
            pl_module.model.final_norm.weight.fill_(math.nan)


def spoilt(run, epoch, factor):
    """The run, whose loss rises in this epoch."""
    run.callbacks["spoil"] = {"_target_": f"{__name__}.Spoil", "epoch": epoch, "factor": factor}
    return run
