"""Whether a run on a CPU is compiled: what `device.compile=auto` means there."""

import logging
import math
from typing import Any

import torch
from lightning.pytorch.callbacks import Timer

from lai.config.schema import RunConfig
from lai.host.errors import UserError
from lai.model.transformer import ModelConfig

log = logging.getLogger(__name__)

# Compiling takes about 15 s and saves about 6 %, so it pays from about five minutes on; these limits are about ten.
_MIN_SECONDS = 600
_MIN_FLOPS = 1e14  # a thread; one does about 2e11 a second in bfloat16


def check_compiling() -> None:
    """Refuse `device.compile=true` where there is no compiler, before the data is prepared.

    Raises:
        UserError: PyTorch cannot compile here.
    """
    if reason := _obstacle():
        raise UserError(
            f"device.compile=true, but PyTorch cannot compile here: {reason}; install a C++ compiler "
            "(g++, or clang++ on a Mac, or name another one in CXX) and Python's headers, or use device.compile=false"
        )


def choose_compiling(run: RunConfig, config: ModelConfig, tokens: int, processes: int) -> None:
    """Turn `device.compile: auto` into true for a long run of one process where there is a compiler, else into false.

    Args:
        tokens: the number of tokens of the training documents.
        processes: the number of processes of the whole run.
    """
    if run.device.compile != "auto":
        return
    run.device.compile = processes == 1 and _is_long(run, config, tokens)
    if run.device.compile and (reason := _obstacle()):
        run.device.compile = False
        log.info(
            "device.compile=auto: with a C++ compiler this run would be faster; PyTorch cannot compile: %s", reason
        )


def max_seconds(max_time: Any) -> float:
    """`trainer.max_time` in seconds, as Lightning reads it; infinite where there is none."""
    return Timer(max_time)._duration or math.inf


def _is_long(run: RunConfig, config: ModelConfig, tokens: int) -> bool:
    parameters, _ = config.parameter_counts()
    flops = 6.0 * parameters * _planned_tokens(run, tokens)
    return flops >= _MIN_FLOPS * torch.get_num_threads() and max_seconds(run.trainer.get("max_time")) >= _MIN_SECONDS


def _planned_tokens(run: RunConfig, tokens: int) -> float:
    """How many tokens a run trains on by its epochs and steps; infinite where only its time ends it."""
    assert run.data.seq_len is not None
    batch = run.data.batch_size * run.data.seq_len
    epochs, steps = run.trainer.get("max_epochs"), run.trainer.get("max_steps", -1)
    limit = run.trainer.get("limit_train_batches")
    if limit is not None:
        tokens = min(tokens, limit * batch) if isinstance(limit, int) else int(tokens * limit)
    by_epochs = math.inf if epochs in (None, -1) else epochs * tokens
    by_steps = math.inf if steps == -1 else steps * batch * run.trainer.get("accumulate_grad_batches", 1)
    return float(min(by_epochs, by_steps))


def _obstacle() -> str | None:
    """PyTorch's message when it cannot compile here; None where it can."""
    try:
        torch.compile(torch.sin)(torch.ones(1))
    except Exception as error:  # PyTorch's classes for this error are private
        return str(error).strip().partition("\n")[0]
    return None
