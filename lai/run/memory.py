"""The memory that training needs, calculated before anything is allocated, and the memory that is free.

All sizes are in bytes. What is calculated is what the code allocates: weights, gradients, the optimizer's state, what
each layer keeps of a token for the backward pass, attention's scores in the rows that documents are brought into, and
the loss with its part of the logits.
"""

from dataclasses import dataclass, field, replace

import lightning
import numpy as np
import torch
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from numpy.typing import NDArray

from lai.config.schema import LoraSettings, RunConfig
from lai.data.prepare import Corpus
from lai.host.errors import UserError
from lai.host.memory import free_memory
from lai.model.document_attention import MAX_SCORES, MIN_WIDTH
from lai.model.lora import factor_count
from lai.model.loss import MAX_CHUNKS, MIN_CHUNK_ROWS
from lai.model.transformer import ModelConfig

_MAPPED = 32 << 20  # a tensor of at least so many bytes has pages of its own
_GAPS = 0.5
_WORKSPACE = 16 << 20  # of PyTorch and its libraries
_SAMPLED = 100_000  # documents whose lengths are sampled
_SURELY = 1.5


@dataclass(frozen=True)
class TrainingShape:
    """What the memory of training depends on.

    Args:
        rows: of a batch.
        seq_len: tokens a row.
        half: whether products are computed in 16 bits.
        scaled: whether the loss is scaled (float16): all logits are in memory then.
        padding: places a token in the rows that attention works on, on a CPU.
        scores: places a token and head in attention's scores that are kept, on a CPU.
        wide: places a token in rows so wide that instead of scores attention's result is kept, on a CPU.
    """

    config: ModelConfig
    rows: int
    seq_len: int
    lora: LoraSettings = field(default_factory=LoraSettings)
    muon: bool = False
    half: bool = False
    scaled: bool = False
    recomputes: bool = False
    device: str = "cpu"
    padding: float = 1.0
    scores: float = 0.0
    wide: float = 1.0


def needed(shape: TrainingShape) -> float:
    """The peak that training allocates, in bytes, without what the program has allocated before."""
    config, tokens, item = shape.config, shape.rows * shape.seq_len, 2 if shape.half else 4
    total, inner = config.parameter_counts()
    state = 4 * inner + 8 * (total - inner) if shape.muon else 8 * total
    output = 8 * config.vocab_size * config.dim  # the gradient of the output matrix, before it is added to the others
    trained = total
    if shape.lora.rank:
        trained = factor_count(config, shape.lora)
        total, state, output = total + trained, (4 if shape.muon else 8) * trained, 0
    copies = item * total if shape.half else 0  # autocast keeps each matrix in 16 bits until the step is over
    fixed = 4 * total + 4 * trained + state + copies + output

    layer = _kept_by_a_layer(shape)
    kept = [4 * config.dim] * config.n_layers + layer if shape.recomputes else layer * config.n_layers
    gradients: list[float] = [4 * config.dim, 4 * config.dim]  # of the layer that the backward pass is at
    gradients += [item * config.hidden_dim] * 3
    around_loss: list[float] = [4 * config.dim, 4 * config.dim, item * config.dim, item * config.dim]
    around_loss += [8] * 3  # tokens, targets and documents
    if shape.device == "cpu":
        around_loss += [
            8 * config.n_heads,
            8 * config.n_heads * shape.padding,
        ]  # the places that heads are copied to and from
    else:
        gradients.append(shape.seq_len * (item + 2))  # the mask, and what it is made of
    activations = sum(_allocated(tokens * size, shape.device) for size in kept + gradients + around_loss)
    return _WORKSPACE + fixed + activations + _logits(shape)


def _kept_by_a_layer(shape: TrainingShape) -> list[float]:
    """The bytes a token of each tensor that a layer keeps for the backward pass."""
    config, item = shape.config, 2 if shape.half else 4
    residual = [4 * config.dim] * 2
    products = [item * config.dim] * 3  # what both norms and attention give to the next product
    placed = [shape.padding * item * width for width in (config.dim, config.kv_dim, config.kv_dim)]
    attention = [shape.scores * config.n_heads * item, shape.wide * item * config.dim]
    factors = [item * shape.lora.rank] * len(shape.lora.targets) if shape.lora.rank else []
    return residual + products + placed + attention + [item * config.hidden_dim] * 4 + factors


def _allocated(size: float, device: str) -> float:
    """The memory that a tensor of so many bytes takes: small ones lie on the C library's heap, with gaps between them.

    Sizes differ from batch to batch, and freed memory is kept (`keep_freed_memory`): after a few batches 1.4 to 1.5
    times the sum of the sizes is measured.
    """
    if device != "cpu":
        return size
    # No gaps above twice _MAPPED; below, they shrink so that a larger tensor never takes less.
    return size + _GAPS * max(0.0, min(size, 2 * _MAPPED - size))


def _logits(shape: TrainingShape) -> float:
    tokens, item = shape.rows * shape.seq_len, 2 if shape.half else 4
    if shape.scaled:
        return float(tokens * shape.config.vocab_size * (item + 4 + 4))
    rows = min(tokens, max(MIN_CHUNK_ROWS, -(-tokens // MAX_CHUNKS)))
    parts = min(2, -(-tokens // rows))  # the next part is allocated before the last one is freed
    # On a CPU the softmax is computed for a few rows at a time.
    softmax = 0 if shape.device == "cpu" else 4
    return float(rows * shape.config.vocab_size * (parts * item + softmax))


def largest_batch(shape: TrainingShape, available: float) -> int:
    """The largest batch size that fits into so many bytes; 0 where not even one row does."""
    least, most = 0, 1
    while needed(replace(shape, rows=most)) <= available and most < 1 << 30:
        least, most = most, 2 * most
    while most - least > 1:
        middle = (least + most) // 2
        if needed(replace(shape, rows=middle)) <= available:
            least = middle
        else:
            most = middle
    return least


@dataclass(frozen=True)
class Plan:
    """The memory that a run needs on a device, and how much is free.

    Args:
        free: bytes that the device has left; None where the system does not tell.
        processes: how many share the device.
    """

    shape: TrainingShape
    free: float | None
    processes: int = 1

    @property
    def needed(self) -> float:
        return self.processes * needed(self.shape)

    @property
    def largest(self) -> int | None:
        """The largest batch that fits; None where the free memory is not known."""
        return None if self.free is None else largest_batch(self.shape, self.free / self.processes)

    def check(self, batch_size: int, sure: bool) -> None:
        """Refuse a run that does not fit; with `sure` only one that needs 1.5 times what is free.

        Raises:
            UserError: it does not fit.
        """
        if self.free is None or self.needed <= self.free * (_SURELY if sure else 1):
            return
        largest = self.largest
        remedy = (
            f"the largest batch that fits is data.batch_size={largest}; "
            f"trainer.accumulate_grad_batches={-(-batch_size // largest)} makes up for it"
            if largest
            else "not even one row fits; take a smaller model, or lower data.seq_len"
        )
        raise UserError(
            f"data.batch_size={batch_size} x data.seq_len={self.shape.seq_len} needs about {self.needed / 1e9:.1f} "
            f"GB of memory, and {self.free / 1e9:.1f} GB are free; {remedy}"
        )


def plan(run: RunConfig, config: ModelConfig, corpus: Corpus, trainer: lightning.Trainer) -> Plan:
    """The plan of a run on the trainer's device, before its model is built."""
    assert run.data.seq_len is not None
    device = trainer.strategy.root_device
    parts = [source.token_files.train for source in corpus.sources] or [corpus.token_files.train]
    sampled = _SAMPLED // len(parts)
    predictions = np.concatenate([np.diff(part.offsets[: sampled + 1]).astype(np.int64) - 1 for part in parts])
    padding, scores, wide = places(predictions, run.data.seq_len) if device.type == "cpu" else (1.0, 0.0, 1.0)
    in_all = corpus.token_files.stats.train.tokens - corpus.token_files.stats.train.documents
    shape = TrainingShape(
        config,
        min(run.data.batch_size, -(-in_all // run.data.seq_len)),  # a short text has fewer rows
        run.data.seq_len,
        lora=run.model.lora,
        muon=run.optimizer.name == "muon",
        half="mixed" in str(trainer.precision),
        scaled=str(trainer.precision) == "16-mixed",
        recomputes=bool(run.device.recompute_activations),
        device=device.type,
        padding=padding,
        scores=scores,
        wide=wide,
    )
    # Other strategies split the model among processes, or move parts of it elsewhere.
    known = isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy)
    return Plan(shape, available(device) if known else None, trainer.num_devices if device.type == "cpu" else 1)


def places(predictions: NDArray[np.int64], seq_len: int) -> tuple[float, float, float]:
    """For `TrainingShape`: padding, scores and wide of documents of so many predictions, in rows of like length."""
    sizes = np.minimum(predictions, seq_len).astype(np.float64)
    total = max(1.0, sizes.sum())
    widths = np.minimum(seq_len, MIN_WIDTH * 2 ** np.ceil(np.log2(np.maximum(1, sizes / MIN_WIDTH))))
    # The rows of each width fill a multiple of an eighth of the batch: on average half of one is empty.
    empty = len(np.unique(widths)) / 16
    scored = widths[widths <= MAX_SCORES]
    share = (scored.sum() / widths.sum()) if len(widths) else 0.0
    width = (scored**2).sum() / max(1.0, scored.sum())
    padding = widths.sum() / total + empty
    return float(padding), float(padding * share * width), float(padding * (1 - share))


def available(device: torch.device) -> float | None:
    """The bytes that a program can still allocate on a device, swap included; None where the system does not tell."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return float(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return free_memory()
