"""The lines of a run before and after training."""

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import lightning
import torch

from lai.callbacks.export import ExportModel
from lai.config.schema import RunConfig
from lai.data.prepare import Corpus
from lai.data.quality.findings import Finding
from lai.data.quality.report import listed_formats, shares
from lai.data.synthetic import SyntheticConfig, held_out_conversations
from lai.export.lai_file import read_model
from lai.host.errors import UserError
from lai.inference.by_turn import conversations_of_pytorch, describe, turn_scores
from lai.model.lora import trained
from lai.model.module import LanguageModel
from lai.run.initial import Initial
from lai.run.targets import Counting

_CONVERSATIONS = 32  # that a trained model is asked: seconds for a small one

_LEARNED = 0.1
"""Nats a token by which a loss has to differ from that of guessing before a run counts as better or worse."""


def start(
    run: RunConfig,
    corpus: Corpus,
    module: LanguageModel,
    trainer: lightning.Trainer,
    why_batch_size: str | None = None,
    initial: Initial | None = None,
    counting: Counting | None = None,
) -> Iterator[str]:
    """The data, vocabulary, model, device and limits of the run that is about to start.

    Args:
        why_batch_size: why the run has chosen its batch size, where it has.
        initial: the model whose weights the run begins with.
        counting: the targets that count; None: all.
    """
    yield from _data(run, corpus, module, counting)
    yield from _model(run, corpus, module, initial)
    compiled = ", compiled: the first steps take longer" if run.device.compile else ""
    yield _row("device", f"{_device_name(trainer)}, precision {trainer.precision}{compiled}")
    chosen = "" if why_batch_size is None else f" (auto: {why_batch_size})"
    yield _row(
        "training",
        f"batches of {run.data.batch_size} x {run.data.seq_len} tokens{chosen}{_step(run, trainer)}, {_limit(run)}, "
        f"lr {run.optimizer.lr:g}, "
        f"{run.schedule.name} schedule, seed {run.seed}",
    )
    if run.checkpoint.keep == "best":
        yield _row("checkpoints", "the best one only (checkpoint.keep=best): the run cannot be resumed")


def _data(run: RunConfig, corpus: Corpus, module: LanguageModel, counting: Counting | None) -> Iterator[str]:
    """The text, what is wrong with it, and its two splits."""
    train, val = corpus.token_files.stats.train, corpus.token_files.stats.val
    facts = corpus.quality.facts  # of the training files; the token files' statistics include the validation files
    yield _row("data", f"{_names(corpus.files)}: {facts['documents']:,} documents, {facts['bytes']:,} bytes")
    yield _row("", f"formats: {listed_formats(facts)}")
    yield _row(
        "", f"{facts['duplicates']:,} exact duplicates; {facts['skipped']:,} lines skipped, {facts['empty']:,} empty"
    )
    yield _row("", f"tasks: {shares(facts['tasks'])}; languages: {shares(facts['languages'])}")
    for finding in corpus.quality.findings:
        # A vocabulary that this run builds has the size that the settings ask for.
        if finding.verdict != "ok" and (finding.check != "vocabulary" or run.data.vocab_path):
            yield _row(
                "", f"check {finding.check}: {finding.found}, expected {finding.expected}{_remark(finding, corpus)}"
            )
    yield _row("", f"training {train.documents:,} documents, {train.tokens:,} tokens")
    drawn = f" of {_names(corpus.val_files)}" if corpus.val_files else ""
    yield _row("", f"validation {val.documents:,} documents{drawn}, {val.tokens:,} tokens")
    if counting is not None:
        yield _row("", counting.line())
    if corpus.floor and module.references:
        yield _row(
            "",
            f"the generator's own val/loss there is {corpus.floor.loss:.4f}, val/bpb {corpus.floor.bpb:.4f}: the floor",
        )


def _model(run: RunConfig, corpus: Corpus, module: LanguageModel, initial: Initial | None) -> Iterator[str]:
    """The vocabulary, the network's size, and what it begins with."""
    train, val = corpus.token_files.stats.train, corpus.token_files.stats.val
    per_token = (train.bytes + val.bytes) / max(1, train.tokens + val.tokens)
    yield _row("vocabulary", f"{corpus.vocab_path}: {len(corpus.vocab):,} tokens, {per_token:.2f} bytes a token")
    if run.data.vocab_path is None and len(corpus.vocab) < run.data.vocab_size:
        yield _row("", f"the text yields fewer tokens than data.vocab_size={run.data.vocab_size}")
    total, inner = module.config.parameter_counts()
    config = module.config
    yield _row("model", f"{run.model.name}: {total:,} parameters, {inner:,} without the embedding")
    yield _row(
        "",
        f"dim {config.dim}, hidden_dim {config.hidden_dim}, n_layers {config.n_layers}, n_heads {config.n_heads}, "
        f"n_kv_heads {config.n_kv_heads}, max_seq_len {config.max_seq_len}",
    )
    for number, line in enumerate(initial.lines(config.max_seq_len) if initial else ()):
        yield _row("" if number else "begins with", line)
    if module.lora is not None:
        some, everything = trained(module.model)
        yield _row(
            "lora", f"rank {module.lora.rank}, alpha {module.lora.alpha:g}, {some:,} of {everything:,} parameters train"
        )


def end(output_dir: Path, export: ExportModel, freed: int = 0) -> Iterator[str]:
    """The result, the files and how to use them.

    Args:
        freed: bytes of the optimizer's state that were dropped.
    """
    folder = output_dir.relative_to(Path.cwd()) if output_dir.is_relative_to(Path.cwd()) else output_dir
    found: dict[str, list[str]] = {"": []}  # those of one source or language stand on a line
    for name, value in export.metrics.items():
        if not name.endswith("_floor"):
            found.setdefault(_part_of(name), []).append(_metric(name, value, export.metrics))
    for number, metrics in enumerate(found.values()):
        yield _row("" if number else "result", "  ".join(metrics) or "not validated")
    if any(name.endswith("_floor") for name in export.metrics):
        yield _row("", "the floor is the score of the generator itself; no model gets below it")
    yield _row("run", f"{folder}: config.yaml, train.log, metrics.csv, checkpoints")
    if freed:
        dropped = f"the optimizer's state, {freed / 1e6:,.1f} MB, is dropped"
        yield _row("", f"{dropped}; checkpoint.keep=all keeps it, to train longer later")
    if export.report is not None:
        yield _row("model file", str(export.report))
        if (kept := export.report.kept_line()) is not None:
            yield _row("", kept)
        yield _row("use it", f'build/lai -m {export.path} -p "Hello, how are you?"   (make release builds the engine)')
        yield _row("", f'python -m lai.generate -m {export.path} -p "Hello, how are you?"')
    for other in export.others:
        yield _row("export", str(other))
        if (kept := other.kept_line()) is not None:
            yield _row("", kept)
    yield _row(
        "curves", f"tensorboard --logdir {folder if folder.is_absolute() or not folder.parts else folder.parts[0]}"
    )
    if (warning := _nothing_learned(export)) is not None:
        yield _row("warning", warning)


def answers(run: RunConfig, export: ExportModel) -> Iterator[str]:
    """The exact answers by turn of the written model, where the run's text has generated conversations."""
    synthetic = run.data.synthetic
    is_generated = run.data.source == "synthetic" and run.data.path is None and run.data.sources is None
    if export.report is None or synthetic is None or not is_generated:
        return
    config = SyntheticConfig(**asdict(synthetic))
    if not config.conversations:
        return
    model = read_model(export.report.path)
    try:
        conversations = held_out_conversations(config, _CONVERSATIONS)
        given = list(conversations_of_pytorch(model.build(), model.vocab, model.training, conversations))
    except UserError as error:  # no combination is held out, or the context is too short: the model is written anyway
        yield _row("answers", f"conversations with held-out translations are not asked: {error}")
        return
    exact = describe(turn_scores(conversations, given))
    yield _row("answers", f"exact in {_CONVERSATIONS} conversations with held-out translations: {exact}")


def _nothing_learned(export: ExportModel) -> str | None:
    """Why a run's last weights are no better than guessing, and the remedy; None where they are better."""
    if export.report is None or export.final_loss is None:
        return None
    (name, loss), guessing = export.final_loss, math.log(export.report.config.vocab_size)
    if loss < guessing - _LEARNED:
        return None
    line = f"{name} ends at {loss:.2f}, and guessing scores ln(vocab_size), {guessing:.2f}: "
    if loss <= guessing + _LEARNED:
        line += "the model has learned nothing; raise optimizer.lr and optimizer.embedding_lr, or train for more steps"
    else:
        line += "the learning rates are too high; lower optimizer.lr and optimizer.embedding_lr"
    if export.metrics.get("val/loss", loss) < loss:
        line += f"; the model file has the earlier weights of val/loss {export.metrics['val/loss']:.2f}"
    return line


def _part_of(name: str) -> str:
    """The source or language that a metric is of: `wiki` of `val/loss/wiki`."""
    return name.split("/", 2)[2] if name.count("/") > 1 else ""


def _metric(name: str, value: float, metrics: Mapping[str, float]) -> str:
    """A metric, with its floor where that is known."""
    floor = metrics.get(f"{name}_floor")
    return f"{name} {value:.4f}" + ("" if floor is None else f" ({value / floor - 1:+.1%} from the floor {floor:.4f})")


def _remark(finding: Finding, corpus: Corpus) -> str:
    """The places and the remedy of a finding, or why it is no fault."""
    if finding.check == "unique" and corpus.floor:
        return " (expected in generated text: each document occurs as often as it is probable)"
    places = f" (first {', '.join(finding.places[:3])})" if finding.places else ""
    return places + (f"; {finding.remedy}" if finding.remedy else "")


def _row(name: str, text: str) -> str:
    return f"{name:<12}{text}"


def _names(files: list[Path]) -> str:
    if len(files) <= 3:
        return ", ".join(str(file) for file in files)
    return f"{files[0]} and {len(files) - 1} more files"


def _limit(run: RunConfig) -> str:
    parts = []
    if (epochs := run.trainer.get("max_epochs")) not in (None, -1):
        parts.append(f"{epochs} epoch{'s' if epochs > 1 else ''}")
    if (steps := run.trainer.get("max_steps", -1)) not in (None, -1):
        parts.append(f"{steps} step{'s' if steps > 1 else ''}")
    if run.trainer.get("max_time"):
        parts.append(f"max_time {run.trainer['max_time']}")
    return " or ".join(parts) or "until stopped"


def _step(run: RunConfig, trainer: lightning.Trainer) -> str:
    """The batches, rows and tokens of a step where it has more than one batch."""
    batches = trainer.accumulate_grad_batches * trainer.world_size
    rows = batches * run.data.batch_size
    return f", {batches} a step ({rows:,} rows, {rows * (run.data.seq_len or 0):,} tokens)" if batches > 1 else ""


def _device_name(trainer: lightning.Trainer) -> str:
    device = trainer.strategy.root_device
    processes = f", {trainer.world_size} processes" if trainer.world_size > 1 else ""
    if device.type != "cpu":
        return (torch.cuda.get_device_name(device) if device.type == "cuda" else device.type) + processes
    threads = torch.get_num_threads()
    return f"cpu, {threads} thread{'s' if threads > 1 else ''} on {os.cpu_count()} CPUs{processes}"
