"""Rules across settings: what the schema's types and ranges do not say. Each mistake is one line that names the key.

Nothing here writes a value; what a run chooses for itself is in auto.py.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from lai.config.schema import EXPORT_FORMATS, LORA_TARGETS, DataSettings, TrainerSettings
from lai.config.setting import Limits, check_range, limits, limits_of
from lai.config.sources import check_sources
from lai.host.errors import UserError

if TYPE_CHECKING:
    from lai.config.schema import RunConfig


def check_rules(run: "RunConfig") -> None:
    """Check the settings of a run against each other.

    Raises:
        UserError: two values contradict each other, or one is needed and missing.
    """
    _check_choices(run)
    _check_lora(run)
    _check_paths(run)
    _check_length(run)
    _check_batch(run)


def check_trainer(trainer: Mapping[Any, Any]) -> None:
    """Check the arguments of Lightning's Trainer: their ranges, and what LAi does not take.

    Raises:
        UserError: a value is out of its range or does not go with LAi.
    """
    if str(precision := trainer.get("precision")) in ("64", "64-true", "16-true", "bf16-true"):
        raise UserError(
            f"trainer.precision is {precision}, but weights are trained in float32; use 32-true, bf16-mixed or 16-mixed"
        )
    if (algorithm := trainer.get("gradient_clip_algorithm")) not in (None, "norm"):
        raise UserError(f"trainer.gradient_clip_algorithm is {algorithm!r}; gradients are clipped by their 'norm' only")
    for name in ("max_epochs", "max_steps"):
        if trainer.get(name) == 0:
            raise UserError(f"trainer.{name} is 0; it must be at least 1, or -1 for no limit")
    for name in ("val_check_interval", "check_val_every_n_epoch"):
        if isinstance(every := trainer.get(name), int | float) and not every > 0:
            raise UserError(
                f"trainer.{name} is {every}; it must be more than 0; trainer.limit_val_batches=0 leaves validation out"
            )
    # Lightning takes many values out of range as they are: a negative limit turns the gradients round.
    for item in fields(TrainerSettings):
        if (limits := limits_of(item)) is not None and item.name in trainer:
            check_range(f"trainer.{item.name}", trainer[item.name], limits)
    if trainer.get("fast_dev_run"):
        raise UserError("trainer.fast_dev_run would export a model of one batch; +estimate=true tries a run out")
    if trainer.get("overfit_batches"):
        raise UserError("trainer.overfit_batches does not go with these batches; give data.path a file of a few lines")


def _check_choices(run: "RunConfig") -> None:
    compiles, device = run.device.compile, run.device.name
    if not (isinstance(compiles, bool | None) or (compiles, device) == ("auto", "cpu")):
        expected = "true, false or auto" if device == "cpu" else "true or false"
        raise UserError(f"device.compile is {compiles!r}; with device={device} it must be {expected}")
    for name in run.export.formats:
        check_range("export.formats", name, Limits("", choices=EXPORT_FORMATS))
    if "lai" not in run.export.formats:
        raise UserError(
            f"export.formats is {run.export.formats}; the model file is always written: add lai to the list"
        )
    if run.export.dtype in ("q8_0", "q4_0") and (run.model.dim % 32 or run.model.hidden_dim % 32):
        raise UserError(
            f"export.dtype={run.export.dtype} needs model.dim and model.hidden_dim to be multiples of 32; they are "
            f"{run.model.dim} and {run.model.hidden_dim}"
        )

    if run.resume == "auto" and run.checkpoint.keep == "best":
        raise UserError("resume=auto needs last.ckpt, which checkpoint.keep=best leaves out; leave one of the two out")


def _check_lora(run: "RunConfig") -> None:
    lora, model = run.model.lora, run.model
    for name in lora.targets:
        check_range("model.lora.targets", name, Limits("", choices=LORA_TARGETS))
    if not lora.targets or len({*lora.targets}) < len(lora.targets):
        raise UserError(f"model.lora.targets is {lora.targets}; it must name at least one matrix, each once")
    if lora.rank > (most := min(model.dim, model.hidden_dim)):
        raise UserError(f"model.lora.rank is {lora.rank}; the matrices have at most rank {most}")
    begins_with_weights = run.ckpt_path is not None or run.init_from is not None
    if lora.rank and not begins_with_weights:
        raise UserError(
            f"model.lora.rank is {lora.rank}, but the run begins with random weights, which LoRA leaves as they are; "
            "give it the weights of a model: init_from=FILE"
        )


def _check_paths(run: "RunConfig") -> None:
    check_sources(run.data)
    if run.data.source == "files" and run.data.path is None and run.data.sources is None:
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
    for unit, maximum in (("epochs", epochs), ("steps", steps)):
        minimum = run.trainer.get(f"min_{unit}")
        if minimum is not None and maximum not in (None, -1) and minimum > maximum:
            raise UserError(f"trainer.min_{unit} is {minimum}, more than trainer.max_{unit}, {maximum}")
    max_time = run.trainer.get("max_time")
    if isinstance(max_time, int | float):
        raise UserError(f"trainer.max_time is {max_time}; it must be DD:HH:MM:SS, as in 00:01:30:00")
    if epochs in (None, -1) and steps == -1 and not max_time:
        raise UserError("the run has no end; set trainer.max_epochs, trainer.max_steps or trainer.max_time")


def _check_batch(run: "RunConfig") -> None:
    seq_len, context = run.data.seq_len, run.model.max_seq_len
    assert seq_len is not None
    if not 1 <= seq_len <= context:
        raise UserError(f"data.seq_len is {seq_len}; it must be from 1 to model.max_seq_len, {context}")
    rows, limit = run.data.batch_size, run.device.max_batch_tokens
    if rows == "auto":
        return
    if isinstance(rows, bool) or not isinstance(rows, int):
        expected = limits(DataSettings, "batch_size").expected()
        raise UserError(f"data.batch_size is {rows!r}; it must be {expected}")
    if limit is not None and rows * seq_len > limit:
        raise UserError(
            f"data.batch_size {rows} x data.seq_len {seq_len} is more than the {limit} tokens that "
            f"device={run.device.name} computes correctly; lower one and raise trainer.accumulate_grad_batches"
        )
