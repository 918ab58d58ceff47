"""Whether a run on a processor is compiled: `device.compile` there."""

import logging
import math
from typing import Any

import torch
from lightning.pytorch.callbacks import Timer

from lai.config.schema import RunConfig
from lai.host.errors import UserError
from lai.model.transformer import ModelConfig

log = logging.getLogger(__name__)

# Compiling takes a quarter of a minute and saves some 6 %, so it pays from some five minutes on; these are about ten.
_LEAST_SECONDS = 600
_LEAST_FLOPS = 1e14  # for each thread, which does some 2e11 a second in bfloat16


def check_compiling() -> None:
    """Refuse `device.compile=true` where there is nothing to compile with, before the data is made."""
    if reason := _obstacle():
        raise UserError(
            f"device.compile=true, but PyTorch cannot compile here: {reason}; install a C++ compiler "
            "(g++, or clang++ on a Mac, or name another one in CXX) and Python's headers, or use device.compile=false"
        )


def choose_compiling(run: RunConfig, config: ModelConfig, tokens: int, processes: int) -> None:
    """Turn `device.compile: auto` into whether it pays: in a long run of one process, where there is a compiler.

    Args:
        tokens: of the training documents.
        processes: of the whole run.
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
    """`trainer.max_time` as Lightning reads it; infinite where there is none."""
    return Timer(max_time)._duration or math.inf


def _is_long(run: RunConfig, config: ModelConfig, tokens: int) -> bool:
    parameters, _ = config.parameter_counts()
    flops = 6.0 * parameters * _planned_tokens(run, tokens)
    return (
        flops >= _LEAST_FLOPS * torch.get_num_threads() and max_seconds(run.trainer.get("max_time")) >= _LEAST_SECONDS
    )


def _planned_tokens(run: RunConfig, tokens: int) -> float:
    """What a run reads that nothing but its epochs and steps ends; infinite where it is ended by its time alone."""
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
    """What PyTorch says when it cannot compile here."""
    try:
        torch.compile(torch.sin)(torch.ones(1))
    except Exception as error:  # PyTorch's own classes for it are private
        return str(error).strip().partition("\n")[0]
    return None
