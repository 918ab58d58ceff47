"""Whether an accelerator computes what the CPU does, tried on a small network before a run starts there.

Builds of PyTorch for Apple GPUs have failed in attention, in products and in gradients, without an error: the model
learns more slowly, or learns to copy what it must predict. The small network has the run's heads and functions, so the
same kernels compute it. It has two layers and short rows, and all its weights train, also where the run has low-rank
factors: their products take the same kernels. A compiled step is not tried.
"""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import NamedTuple

import lightning
import torch
from torch import Tensor

from lai.config.schema import RunConfig
from lai.host.errors import UserError, first_line
from lai.model.transformer import ModelConfig, Transformer, is_causal
from lai.tokenizer.targets import IGNORE_INDEX

_ROWS = 4
_MIN_LENGTH, _MAX_LENGTH = 8, 128  # tokens a row


@dataclass(frozen=True)
class Way:
    """A way of computing, and what to use instead where it fails.

    Attributes:
        of_loss: the largest error of the loss, as a share of it.
        of_gradients: the largest error of a parameter's gradient, as a share of its norm.
        dtype: of products under autocast; None without it.
        tf32: whether products of float32 matrices may have 10 bits of mantissa.
    """

    name: str
    safer: str
    of_loss: float
    of_gradients: float
    dtype: torch.dtype | None = None
    tf32: bool = False


# Limits of gradients are five times what rounding alone gives, or more: 1.2 % in bfloat16, 0.15 % with 10 bits.
FLOAT32 = Way("float32", "trainer.accelerator=cpu, or another version of PyTorch", 1e-4, 1e-3)
TF32 = Way("TF32", "device.tf32=false", 1e-3, 0.02, tf32=True)
MIXED = {
    name: Way(name, "trainer.precision=32-true", 1e-3, of_gradients, dtype=dtype)
    for name, dtype, of_gradients in (("bf16-mixed", torch.bfloat16, 0.06), ("16-mixed", torch.float16, 0.02))
}


def check_accelerator(run: RunConfig, config: ModelConfig, trainer: lightning.Trainer) -> None:
    """Compare causality, loss and gradients of a small network of the run's kind on its accelerator with the CPU's.

    A run on a CPU, and one with `device.check=false`, is left alone.

    Raises:
        UserError: the accelerator computes something else; the line names the safer setting.
    """
    device = trainer.strategy.root_device
    if run.device.check is False or not is_accelerator(device):
        return
    assert run.data.seq_len is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Transformer(small(config, run.data.seq_len))
    network.recomputes_activations = bool(run.device.recompute_activations)
    compare(network, device, ways_of(run, str(trainer.precision), device))


def is_accelerator(device: torch.device) -> bool:
    return device.type != "cpu"


def small(config: ModelConfig, seq_len: int) -> ModelConfig:
    """A network of the same kind that a device computes in a moment: the same width and sharing of heads."""
    shared = config.n_heads // config.n_kv_heads
    kv_heads = min(config.n_kv_heads, max(1, 4 // shared))
    dim = config.head_dim * shared * kv_heads
    return replace(
        config,
        dim=dim,
        hidden_dim=min(config.hidden_dim, 3 * dim),
        n_layers=min(config.n_layers, 2),
        n_heads=shared * kv_heads,
        n_kv_heads=kv_heads,
        vocab_size=min(config.vocab_size, 512),
        max_seq_len=min(max(seq_len, _MIN_LENGTH), _MAX_LENGTH),
    )


def ways_of(run: RunConfig, precision: str, device: torch.device) -> list[Way]:
    """The run's ways of computing, the safest first."""
    ways = [FLOAT32]
    if run.device.tf32 and device.type == "cuda":
        ways.append(TF32)
    if precision in MIXED:
        ways.append(MIXED[precision])
    return ways


def compare(network: Transformer, device: torch.device, ways: list[Way]) -> None:
    """Refuse a device on which `network` computes something else than on the CPU, in any of these ways.

    Raises:
        UserError: the line names the first way that fails, and the safer one.
    """
    batch = _batch(network.config)
    expected = _step(network, batch, nullcontext())
    name = f"{device.type} (PyTorch {torch.__version__})"
    try:
        there = deepcopy(network).to(device)
        moved = {key: value.to(device) for key, value in batch.items()}
        for way in ways:
            with _products(way.tf32):
                with computing(device, way.dtype):
                    causal = is_causal(there)
                found = _step(there, moved, computing(device, way.dtype))
            if (fault := _fault(found, expected, way, causal)) is not None:
                raise UserError(f"{name} computes wrongly in {way.name}: {fault}; use {way.safer}")
    except RuntimeError as error:
        missing = isinstance(error, NotImplementedError) and device.type == "mps"
        safer = "PYTORCH_ENABLE_MPS_FALLBACK=1 in the environment, or " if missing else ""
        raise UserError(
            f"{name} cannot compute a small network: {first_line(error)}; use {safer}trainer.accelerator=cpu"
        ) from error


class _Step(NamedTuple):
    """A batch's loss in nats, and each parameter's gradient, on the CPU."""

    loss: float
    gradients: dict[str, Tensor]


def _fault(found: _Step, expected: _Step, way: Way, causal: bool) -> str | None:
    """What differs by more than rounding, in words; what is not finite does."""
    if not causal and math.isfinite(found.loss):
        return "attention reads future tokens"
    if not abs(found.loss - expected.loss) <= way.of_loss * abs(expected.loss):
        return f"the loss is {found.loss:.6g}, and {expected.loss:.6g} on the CPU"
    for name, gradient in expected.gradients.items():
        error = float((found.gradients[name] - gradient).norm() / gradient.norm().clamp(min=1e-12))
        if not error <= way.of_gradients:
            return f"the gradient of {name} differs by {error:.2g} of its size from the CPU's"
    return None


def computing(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[object]:
    """The forward pass on the device, with products in `dtype`."""
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


@contextmanager
def _products(tf32: bool) -> Iterator[None]:
    """Products of float32 matrices on CUDA with or without TF32."""
    if not torch.cuda.is_available():
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _batch(config: ModelConfig) -> dict[str, Tensor]:
    """Rows of packed documents of several lengths, each (rows, length), one with padding at its end."""
    length, generator = config.max_seq_len, torch.Generator().manual_seed(0)
    tokens = torch.randint(config.vocab_size, (_ROWS, length + 1), generator=generator)
    sizes = torch.tensor([[length // share] for share in (1, 2, 3, 7)])
    documents, targets = torch.arange(length) // sizes, tokens[:, 1:].clone()
    documents[-1, -(length // 8) :], targets[-1, -(length // 8) :] = -1, IGNORE_INDEX
    return {"tokens": tokens[:, :-1].contiguous(), "documents": documents, "targets": targets}


def _step(network: Transformer, batch: dict[str, Tensor], within: AbstractContextManager[object]) -> _Step:
    network.zero_grad()
    with within:
        loss = network(batch["tokens"], batch["documents"], targets=batch["targets"])
    loss.backward()
    gradients = {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}
    return _Step(loss.item(), {name: gradient.float().cpu() for name, gradient in gradients.items()})
