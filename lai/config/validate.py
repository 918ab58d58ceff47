"""What the types of the schema do not say about the values of a run; each mistake is one line that names the key."""

import difflib
import math
from typing import TYPE_CHECKING, Any

from lai.host.errors import UserError
from lai.tokenizer.train import VOCAB_SIZES

if TYPE_CHECKING:
    from lai.config.schema import RunConfig

_LARGEST_SEED = 2**32 - 1  # numpy's limit
_MOST_THREADS = 1024  # with far more PyTorch crashes without a word
_MOST_LAYERS = 1000  # far more would take hours to set up
_MOST_WIDTH = 1 << 24


def check_values(run: "RunConfig") -> None:
    """Check every value that a person can set.

    Raises:
        UserError: a value is out of its range, or two values contradict each other.
    """
    _check_choices(run)
    _check_numbers(run)
    _check_paths(run)
    _check_length(run)
    _check_trainer(run)
    _check_batch(run)


def _check_choices(run: "RunConfig") -> None:
    for key, value, choices in (
        ("data.source", run.data.source, ("synthetic", "files", "hub")),
        ("schedule.name", run.schedule.name, ("linear", "cosine", "constant")),
        ("optimizer.name", run.optimizer.name, ("adamw", "muon")),
        ("export.dtype", run.export.dtype, ("f32", "f16", "q8_0", "q4_0")),
        ("model.activation", run.model.activation, ("silu", "gelu")),
    ):
        if value not in choices:
            close = difflib.get_close_matches(value, choices, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise UserError(f"{key} is {value!r}; it must be one of {', '.join(choices)}{hint}")
    compiles, device = run.device.compile, run.device.name
    if not (isinstance(compiles, bool | None) or (compiles, device) == ("auto", "cpu")):
        expected = "true, false or auto" if device == "cpu" else "true or false"
        raise UserError(f"device.compile is {compiles!r}; with device={device} it must be {expected}")
    if run.export.dtype in ("q8_0", "q4_0") and (run.model.dim % 32 or run.model.hidden_dim % 32):
        raise UserError(
            f"export.dtype={run.export.dtype} needs model.dim and model.hidden_dim to be multiples of 32; they are "
            f"{run.model.dim} and {run.model.hidden_dim}"
        )


def _check_numbers(run: "RunConfig") -> None:
    data, device, model, optimizer, schedule = run.data, run.device, run.model, run.optimizer, run.schedule
    least, most = VOCAB_SIZES
    for key, number, smallest in (
        ("data.batch_size", data.batch_size, 1),
        ("data.min_freq", data.min_freq, 1),
        ("device.threads", device.threads, 1),
        ("device.num_workers", device.num_workers, 0),
        ("device.max_batch_tokens", device.max_batch_tokens, 1),
        ("optimizer.block_rows", optimizer.block_rows, 1),
        ("data.hub.limit", None if data.hub is None else data.hub.limit, 1),
    ):
        if number is not None and number < smallest:
            raise UserError(f"{key} is {number}; it must be at least {smallest}")
    for key, value, valid, expected in (
        ("data.vocab_size", data.vocab_size, least <= data.vocab_size <= most, f"from {least} to {most}"),
        ("data.val_fraction", data.val_fraction, 0 < data.val_fraction < 1, "between 0 and 1"),
        ("device.threads", device.threads, (device.threads or 1) <= _MOST_THREADS, f"at most {_MOST_THREADS}"),
        (
            "device.num_workers",
            device.num_workers,
            (device.num_workers or 0) <= _MOST_THREADS,
            f"at most {_MOST_THREADS}",
        ),
        ("model.n_layers", model.n_layers, model.n_layers <= _MOST_LAYERS, f"at most {_MOST_LAYERS}"),
        ("model.dim", model.dim, model.dim <= _MOST_WIDTH, f"at most {_MOST_WIDTH}"),
        ("model.hidden_dim", model.hidden_dim, model.hidden_dim <= _MOST_WIDTH, f"at most {_MOST_WIDTH}"),
        ("model.max_seq_len", model.max_seq_len, 1 <= model.max_seq_len <= _MOST_WIDTH, f"from 1 to {_MOST_WIDTH}"),
        ("optimizer.lr", optimizer.lr, 0 < optimizer.lr < math.inf, "positive"),
        ("optimizer.embedding_lr", optimizer.embedding_lr, 0 < optimizer.embedding_lr < math.inf, "positive"),
        ("optimizer.eps", optimizer.eps, 0 < optimizer.eps < math.inf, "positive"),
        ("optimizer.beta1", optimizer.beta1, 0 < optimizer.beta1 < 1, "between 0 and 1"),
        ("optimizer.beta2", optimizer.beta2, 0 < optimizer.beta2 < 1, "between 0 and 1"),
        ("optimizer.momentum", optimizer.momentum, 0 <= optimizer.momentum < 1, "from 0 to below 1"),
        ("optimizer.weight_decay", optimizer.weight_decay, 0 <= optimizer.weight_decay < math.inf, "0 or more"),
        ("schedule.warmup_fraction", schedule.warmup_fraction, 0 <= schedule.warmup_fraction <= 1, "from 0 to 1"),
        ("schedule.final_fraction", schedule.final_fraction, 0 <= schedule.final_fraction <= 1, "from 0 to 1"),
        ("schedule.decay_fraction", schedule.decay_fraction, 0 <= schedule.decay_fraction <= 1, "from 0 to 1"),
        ("seed", run.seed, 0 <= run.seed <= _LARGEST_SEED, f"from 0 to {_LARGEST_SEED}"),
    ):
        if not valid:
            raise UserError(f"{key} is {value}; it must be {expected}")


def _check_paths(run: "RunConfig") -> None:
    if run.data.source == "files" and run.data.path is None:
        raise UserError("data.path is missing; give it a file, a folder or a pattern: data.path=my.txt")
    given: dict[str, list[Any]] = {}
    for key, paths in (("data.path", run.data.path), ("data.val_path", run.data.val_path)):
        given[key] = [] if paths is None else paths if isinstance(paths, list) else [paths]
        if not all(isinstance(path, str) for path in given[key]):
            raise UserError(f"{key} is {paths!r}; it must be a path or a list of paths, numbers in quotes")
    for key, values in (
        *given.items(),
        ("data.vocab_path", [run.data.vocab_path]),
        ("data.cache_dir", [run.data.cache_dir]),
        ("export.path", [run.export.path]),
        ("ckpt_path", [run.ckpt_path]),
    ):
        if "" in values:
            raise UserError(f"{key} is empty; give it a path, or leave it out")


def _check_length(run: "RunConfig") -> None:
    epochs, steps = run.trainer.get("max_epochs"), run.trainer.get("max_steps", -1)
    for key, count in (("max_epochs", epochs), ("max_steps", steps)):
        if count is not None and (count == 0 or count < -1):
            raise UserError(f"trainer.{key} is {count}; it must be at least 1, or -1 for no limit")
    for unit, most in (("epochs", epochs), ("steps", steps)):
        least = run.trainer.get(f"min_{unit}")
        if least is not None and most not in (None, -1) and least > most:
            raise UserError(f"trainer.min_{unit} is {least}, more than trainer.max_{unit}, {most}")
    max_time = run.trainer.get("max_time")
    if isinstance(max_time, int | float):
        raise UserError(f"trainer.max_time is {max_time}; it must be DD:HH:MM:SS, as in 00:01:30:00")
    if epochs in (None, -1) and steps == -1 and not max_time:
        raise UserError("the run has no end; set trainer.max_epochs, trainer.max_steps or trainer.max_time")


def _check_trainer(run: "RunConfig") -> None:
    if str(precision := run.trainer.get("precision")) in ("64", "64-true", "16-true", "bf16-true"):
        raise UserError(
            f"trainer.precision is {precision}, but weights are trained in float32; use 32-true, bf16-mixed or 16-mixed"
        )
    if (algorithm := run.trainer.get("gradient_clip_algorithm")) not in (None, "norm"):
        raise UserError(f"trainer.gradient_clip_algorithm is {algorithm!r}; gradients are clipped by their 'norm' only")
    # Lightning takes both as they are, and a negative one turns the gradients round.
    if (limit := run.trainer.get("gradient_clip_val")) is not None and not limit >= 0:
        raise UserError(f"trainer.gradient_clip_val is {limit}; it must be 0 or more, or null for no limit")
    if (limit := run.trainer.get("limit_train_batches")) is not None and not limit > 0:
        raise UserError(f"trainer.limit_train_batches is {limit}; it must be more than 0")
    if (batches := run.trainer.get("accumulate_grad_batches", 1)) < 1:
        raise UserError(f"trainer.accumulate_grad_batches is {batches}; it must be at least 1")
    for name in ("val_check_interval", "check_val_every_n_epoch"):
        if isinstance(every := run.trainer.get(name), int | float) and not every > 0:
            raise UserError(
                f"trainer.{name} is {every}; it must be more than 0; trainer.limit_val_batches=0 leaves validation out"
            )
    if run.trainer.get("fast_dev_run"):
        raise UserError("trainer.fast_dev_run would hand over a model of one batch; +estimate=true tries a run out")
    if run.trainer.get("overfit_batches"):
        raise UserError("trainer.overfit_batches does not go with these batches; give data.path a file of a few lines")


def _check_batch(run: "RunConfig") -> None:
    seq_len = run.data.seq_len if run.data.seq_len is not None else run.model.max_seq_len
    if not 1 <= seq_len <= run.model.max_seq_len:
        raise UserError(f"data.seq_len is {seq_len}; it must be from 1 to model.max_seq_len, {run.model.max_seq_len}")
    run.data.seq_len = seq_len
    limit = run.device.max_batch_tokens
    if limit is not None and run.data.batch_size * seq_len > limit:
        raise UserError(
            f"data.batch_size {run.data.batch_size} x data.seq_len {seq_len} is more than the {limit} tokens that "
            f"device={run.device.name} computes rightly; lower one and raise trainer.accumulate_grad_batches"
        )
