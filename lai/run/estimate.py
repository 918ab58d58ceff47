"""`+estimate=true`: the time and memory of a run, measured over a few of its steps."""

import math
import time
from collections.abc import Iterator
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, Timer

from lai.config.schema import RunConfig
from lai.data.prepare import Corpus
from lai.host.cpu import peak_memory
from lai.host.errors import UserError
from lai.model.module import LanguageModel
from lai.model.transformer import ModelConfig
from lai.run.compile import max_seconds
from lai.run.memory import Plan

_WARM_UP = 3  # batches that are not timed: the first ones allocate memory and may compile
_TIMED = 12
_MAX_SECONDS = 20  # no batch begins later; large ones take long
# For text that people wrote. Generated text needs far fewer: `tiny` comes within 3 % of its floor with 0.3 tokens a
# parameter (docs/data.md).
_TOKENS_PER_PARAMETER = 20  # Hoffmann et al. 2022
_PASSES = 4  # up to so many, the same text is worth about as much as new text (Muennighoff et al. 2023)


class Measure(Callback):
    """Stops training after a few batches and holds how long they took and how many there would be."""

    def __init__(self) -> None:
        self.batches = math.inf
        self.elapsed = 0.0
        """Seconds of `trainer.max_time` that the resumed run had used."""
        self._times: list[float] = []  # when training began, then when each batch ended
        self._tokens: list[int] = []

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        assert isinstance(pl_module, LanguageModel)
        # Planned steps include those before the checkpoint. An epoch's last step may have fewer batches than others.
        steps, batches = pl_module.planned_steps - trainer.global_step, trainer.num_training_batches
        self.batches = steps * batches / math.ceil(batches / trainer.accumulate_grad_batches)
        timers = [callback for callback in trainer.callbacks if isinstance(callback, Timer)]  # type: ignore[attr-defined]
        self.elapsed = timers[0].time_elapsed() if timers else 0.0
        self._times = [time.perf_counter()]

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize()
        self._times.append(time.perf_counter())
        self._tokens.append(int((batch["documents"] >= 0).sum()) * trainer.world_size)
        is_over = self._times[-1] - self._times[0] >= _MAX_SECONDS
        trainer.should_stop = is_over or len(self._tokens) >= _WARM_UP + _TIMED

    @classmethod
    def instead_of_training(cls, run: RunConfig) -> "Measure":
        """The measure of a run that keeps nothing: without loggers, other callbacks, validation and checkpoints."""
        run.callbacks, run.logger = {}, {}
        run.trainer |= {"limit_val_batches": 0, "enable_checkpointing": False, "enable_progress_bar": False}
        return cls()

    @property
    def batches_measured(self) -> int:
        return len(self._tokens)

    @property
    def seconds_per_batch(self) -> float:
        """The mean over the timed batches, or the last one's time where the run has no more than the untimed ones."""
        first = min(_WARM_UP, len(self._tokens) - 1)
        return (self._times[-1] - self._times[first]) / (len(self._tokens) - first)

    @property
    def tokens_per_batch(self) -> float:
        return sum(self._tokens) / len(self._tokens)


def lines(
    run: RunConfig, corpus: Corpus, config: ModelConfig, measured: Measure, memory: Plan, device: torch.device
) -> Iterator[str]:
    """The lines of the estimate: time, memory, tokens, and whether there is enough text for the model.

    Raises:
        UserError: there was no batch to measure.
    """
    if not measured.batches_measured:
        raise UserError("there is nothing left to train, so nothing to measure; leave ckpt_path out or raise the limit")
    rate = measured.tokens_per_batch / measured.seconds_per_batch
    limit = max_seconds(run.trainer.get("max_time")) - measured.elapsed
    seconds = min(measured.batches * measured.seconds_per_batch, limit)
    total, _ = config.parameter_counts()
    yield f"estimate    {rate:,.0f} tokens/s, {1000 * measured.seconds_per_batch:,.0f} ms a batch"
    if (peak := _peak_bytes(device)) is not None:
        yield f"            at most {peak / 1e9:.1f} GB of memory while it trains"
    if memory.free is not None:
        yield (
            f"            the batch needs {memory.needed / 1e9:.1f} GB by calculation; {memory.free / 1e9:.1f} GB were "
            f"free; the largest batch that fits is {memory.largest:,}"
        )
    tokens = seconds * rate
    yield f"            {_duration(seconds)} without validation, for {tokens:,.0f} tokens"
    train = corpus.token_files.stats.train
    passes = tokens / max(1, train.tokens - train.documents)  # a document's first token is not predicted
    if run.ckpt_path is not None or run.model.lora.rank:  # how much text the model has seen before is not known
        yield f"            the text is read {passes:.1f} times more"
        return
    yield f"            {tokens / total:.1f} tokens a parameter; the text is read {passes:.1f} times"
    is_generated = run.data.source == "synthetic" and run.data.path is None and run.data.sources is None
    enough_for = tokens * min(1, _PASSES / passes) / _TOKENS_PER_PARAMETER
    if enough_for < total and not is_generated:
        yield (
            f"warning     this text is enough for about {float(f'{enough_for:.2g}'):,.0f} parameters "
            f"({_TOKENS_PER_PARAMETER} tokens each, passes beyond {_PASSES} not counted): "
            "a smaller model learns as much from it in less time, or take more text"
        )


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} seconds"
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} minutes"


def _peak_bytes(device: torch.device) -> int | None:
    return torch.cuda.max_memory_reserved(device) if device.type == "cuda" else peak_memory()
