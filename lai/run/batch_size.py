"""`data.batch_size=auto`: the rows of a batch that fit into the memory of the run's device."""

import gc
from dataclasses import replace
from pathlib import Path

import lightning
import torch
from torch import nn

from lai.config.schema import RunConfig
from lai.data.prepare import Corpus
from lai.export.checkpoint import read_content
from lai.host.errors import UserError
from lai.host.files import with_home
from lai.model.lora import add_factors
from lai.model.optimizers import build_optimizer
from lai.model.transformer import ModelConfig, Transformer
from lai.run import memory
from lai.run.accelerator_check import MIXED, computing
from lai.run.fit import within_memory

_SHARE = 0.8  # of the free memory: other programs need some, too
# Learning rates do not follow the batch. On a CPU more than 2,048 tokens teach no more (benchmarks/recipes.md); a GPU
# needs more to be busy.
_MAX_TOKENS_OF_CPU, _MAX_TOKENS = 2048, 16384
_MIN_BATCHES = 100  # of an epoch: a short text teaches by many small steps


def check_batch_size(run: RunConfig, processes: int) -> None:
    """Refuse `data.batch_size: auto` where no number can be chosen, before the data is prepared.

    Raises:
        UserError: the run has several processes, or its checkpoint does not say its batch size.
    """
    if run.data.batch_size != "auto":
        return
    if processes > 1:
        raise UserError(
            f"data.batch_size=auto looks at one device, and this run has {processes} processes; give it a number"
        )
    if run.ckpt_path is not None:
        _of_checkpoint(with_home(run.ckpt_path))


def choose_batch_size(run: RunConfig, config: ModelConfig, corpus: Corpus, trainer: lightning.Trainer) -> str | None:
    """Replace `data.batch_size: auto` by the largest power of two that fits, or by that of the resumed checkpoint.

    Returns:
        Why it is that number, in words; None where the user gave a number.
    """
    if run.data.batch_size != "auto":
        return None
    if run.ckpt_path is not None:
        run.data.batch_size = _of_checkpoint(with_home(run.ckpt_path))
        return "as in the checkpoint"
    run.data.batch_size, why = _limit(run, corpus, trainer.strategy.root_device)
    planned = memory.plan(run, config, corpus, trainer)
    while run.data.batch_size > 1 and (reason := _obstacle(run, planned, trainer)) is not None:
        why = f"{run.data.batch_size} {reason}"
        run.data.batch_size //= 2
    return why


def _limit(run: RunConfig, corpus: Corpus, device: torch.device) -> tuple[int, str]:
    """The largest batch worth having, a power of two, whatever the memory; and why it is no larger."""
    seq_len, train = run.data.seq_len, corpus.token_files.stats.train
    assert seq_len is not None
    most = min(_MAX_TOKENS_OF_CPU if device.type == "cpu" else _MAX_TOKENS, run.device.max_batch_tokens or _MAX_TOKENS)
    by_text = (train.tokens - train.documents) // seq_len // _MIN_BATCHES
    why = f"at most {most:,} tokens on {device.type}"
    if by_text < most // seq_len:
        why = f"an epoch has at least {_MIN_BATCHES} batches"
    rows = max(1, min(most // seq_len, by_text))
    return 1 << (rows.bit_length() - 1), why


def _obstacle(run: RunConfig, planned: memory.Plan, trainer: lightning.Trainer) -> str | None:
    """Why a batch of so many rows does not fit; None where it does, or where nobody can tell."""
    needed = memory.needed(replace(planned.shape, rows=run.data.batch_size))
    if planned.free is not None and needed > _SHARE * planned.free:
        return f"need {needed / 1e9:.1f} GB, {planned.free / 1e9:.1f} GB are free"
    if trainer.strategy.root_device.type == "cuda" and not fits(run, planned.shape.config, trainer):
        return "ran out of memory in a trial"
    return None


def fits(run: RunConfig, config: ModelConfig, trainer: lightning.Trainer) -> bool:
    """Whether the device has the memory for two steps of this batch; in the second one the optimizer has its state."""
    try:
        with within_memory():
            _two_steps(run, config, trainer)
    except UserError:
        return False
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return True


def _two_steps(run: RunConfig, config: ModelConfig, trainer: lightning.Trainer) -> None:
    device, precision = trainer.strategy.root_device, str(trainer.precision)
    way = MIXED.get(precision)
    with torch.random.fork_rng(devices=[]):
        network = Transformer(config)
        if run.model.lora.rank:
            add_factors(network, run.model.lora, run.seed)
        network = network.to(device)
    network.recomputes_activations = bool(run.device.recompute_activations)
    optimizer = build_optimizer(network, run.optimizer, fused=precision != "16-mixed")
    tokens = torch.zeros(run.data.batch_size, run.data.seq_len or 1, dtype=torch.long, device=device)
    for _ in range(2):
        with computing(device, way.dtype if way else None):
            loss = network(tokens, torch.zeros_like(tokens), targets=tokens)
        (loss / tokens.numel()).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()


def _of_checkpoint(path: Path) -> int:
    """The batch size that a checkpoint's place in the data counts in."""
    # Its checksums are compared before: lai.run.preflight.
    order = read_content(path, mapped=True, verified=False).get("CorpusDataModule", {}).get("order")
    rows = order.get("data.batch_size") if isinstance(order, dict) else None
    if not isinstance(rows, int) or rows < 1:
        raise UserError(f"{path} does not say its batch size, so data.batch_size=auto cannot keep it; give it a number")
    return rows
