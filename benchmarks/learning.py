"""`python benchmarks/learning.py`: compares what several ways of training learn in the same time.

    python benchmarks/learning.py --minutes 20 data=text 'data.path=[a.txt,b.tsv]' \\
        --way guide batches=lines data.batch_size=32 optimizer.lr=3e-4 schedule=cosine --way ours

Settings before the first --way apply to all ways. Each way has a name and settings of its own, and trains in a process
of its own. As many ways run at once as there are CPU cores for. `batches` chooses how batches are made:

  packed      rows of several documents that do not attend to each other, as in lai.train
  neighbours  the same rows; a document attends to those before it
  lines       data.batch_size documents in random order, padded to the longest
  buckets     documents of similar length, as many as fit into data.batch_size x data.seq_len tokens

The learning rate decays with elapsed time. Validation uses packed rows and does not count as time.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import seed_everything
from rich.console import Console
from rich.table import Table

from bare import Batch, batches, loss_of, mixed, prepared, step, torch_device
from lai.config.compose import compose_run
from lai.config.schema import RunConfig
from lai.data.prepare import Corpus
from lai.data.tokens.batches import PackedDataset
from lai.model.module import LanguageModel
from lai.model.optimizers import build_optimizer, build_schedule, learning_rate_factor
from lai.run import build as assembly
from lai.tokenizer.targets import IGNORE_INDEX

BATCHES = ("packed", "neighbours", "lines", "buckets")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", help="overrides of lai.train for all ways, such as model=nano")
    parser.add_argument("--way", nargs="+", action="append", required=True, metavar=("NAME", "SETTING"))
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--points", type=int, default=10, help="number of validations")
    parser.add_argument("--val-batches", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1, help="threads per way")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_intermixed_args()
    if options.worker:
        learn(options)
        return
    names = [name for name, *_ in options.way]
    prepared(compose_run(options.settings))  # prepare the corpus once for all ways
    results: dict[str, list[dict[str, float]]] = {}
    at_once = max(1, torch.get_num_threads() // options.threads)
    for begin in range(0, len(names), at_once):
        workers = [(way[0], start(options, way)) for way in options.way[begin : begin + at_once]]
        for name, worker in workers:
            output, _ = worker.communicate()
            if worker.returncode:
                sys.exit(f"error: {name} ended with {worker.returncode}")
            results[name] = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    show(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


def start(options: argparse.Namespace, way: list[str]) -> "subprocess.Popen[str]":
    command = [sys.executable, __file__, "--worker", "--minutes", str(options.minutes), "--points", str(options.points)]
    command += ["--val-batches", str(options.val_batches), "--threads", str(options.threads), *options.settings]
    return subprocess.Popen([*command, "--way", *way], stdout=subprocess.PIPE, text=True)


def learn(options: argparse.Namespace) -> None:
    """Train one way and print one line of figures per validation."""
    ((name, *own),) = options.way
    kind = next((setting.partition("=")[2] for setting in own if setting.startswith("batches=")), "packed")
    if kind not in BATCHES:
        sys.exit(f"error: batches={kind}; it must be one of {', '.join(BATCHES)}")
    threads = f"device.threads={options.threads}"
    common = compose_run([*options.settings, threads])
    run = compose_run([*options.settings, threads, *(setting for setting in own if not setting.startswith("batches="))])
    corpus, config = prepared(run)
    seed_everything(run.seed, verbose=False)
    module = assembly.build_module(run, config, corpus).to(torch_device(run))
    network = module.model
    optimizer = build_optimizer(network, run.optimizer)
    progress = 0.0
    rates = build_schedule(optimizer, lambda _: learning_rate_factor(progress, run.schedule))
    source = SOURCES[kind](run, corpus)

    seconds, spent, tokens = 60 * options.minutes, 0.0, 0
    for point in range(1, options.points + 1):
        while spent < seconds * point / options.points:
            begin = time.perf_counter()
            batch = next(source)
            step(run, network, optimizer, partial(loss_of, network), batch)
            spent += time.perf_counter() - begin
            tokens += int((batch["targets"] != IGNORE_INDEX).sum())
            progress = min(1.0, spent / seconds)
            rates.step()
        figures = {"minutes": spent / 60, "tokens": tokens} | validate(common, module, corpus, options.val_batches)
        print(json.dumps(figures), flush=True)
        print(name, figures, file=sys.stderr)


def validate(run: RunConfig, module: LanguageModel, corpus: Corpus, most: int) -> dict[str, float]:
    """`val/loss` and `val/bpb` over the first batches."""
    nats, tokens, size = 0.0, 0, 0
    with torch.no_grad(), mixed(run):
        for number, batch in enumerate(assembly.build_datamodule(run, corpus).val_dataloader()):
            if number == most:
                break
            batch = {name: tensor.to(torch_device(run)) for name, tensor in batch.items()}
            targets = batch["targets"]
            nats += float(module.model(batch["tokens"], batch["documents"], targets=targets))
            tokens += int((targets != IGNORE_INDEX).sum())
            size += int(module.byte_lengths[targets[targets != IGNORE_INDEX]].sum())
    return {"loss": nats / tokens, "bpb": nats / math.log(2) / size}


def neighbours(run: RunConfig, corpus: Corpus) -> Iterator[Batch]:
    for batch in batches(run, corpus):
        batch["documents"] = batch["documents"].clamp(max=0)  # one document and padding
        yield batch


def lines(run: RunConfig, corpus: Corpus) -> Iterator[Batch]:
    """One document per row, in random order, truncated to the length of a row."""
    lengths = row_lengths(run, corpus)
    random = np.random.default_rng(run.seed)
    while True:
        order = random.permutation(len(lengths))
        for begin in range(0, len(order), run.data.batch_size):
            yield rows(run, corpus, lengths, order[begin : begin + run.data.batch_size])


def buckets(run: RunConfig, corpus: Corpus) -> Iterator[Batch]:
    """Batches of documents of similar length with about as many tokens each, in random order."""
    assert run.data.seq_len is not None
    lengths = row_lengths(run, corpus)
    room = run.data.batch_size * run.data.seq_len
    random = np.random.default_rng(run.seed)
    while True:
        order = random.permutation(len(lengths))
        order = order[np.argsort(lengths[order], kind="stable")]
        ends = []
        begin = 0
        while begin < len(order):
            end = begin + 1
            while end < len(order) and (end + 1 - begin) * lengths[order[end]] <= room:
                end += 1
            ends.append((begin, end))
            begin = end
        for index in random.permutation(len(ends)):
            begin, end = ends[index]
            yield rows(run, corpus, lengths, order[begin:end])


def row_lengths(run: RunConfig, corpus: Corpus) -> Any:
    """The predictions per document, at most a row."""
    assert run.data.seq_len is not None
    return np.minimum(np.diff(corpus.token_files.train.offsets.astype(np.int64)) - 1, run.data.seq_len)


def rows(run: RunConfig, corpus: Corpus, lengths: Any, documents: Any) -> Batch:
    plan = [np.array([[document, 0, lengths[document]]]) for document in documents]
    batch = PackedDataset(corpus.token_files.train, int(lengths[documents].max()))[plan]
    return {name: tensor.to(torch_device(run)) for name, tensor in batch.items()}


SOURCES = {"packed": batches, "neighbours": neighbours, "lines": lines, "buckets": buckets}


def show(results: dict[str, list[dict[str, float]]]) -> None:
    """Print the loss over time, and when each way reached the final loss of the first."""
    table = Table()
    table.add_column("minutes", justify="right")
    for name in results:
        table.add_column(name, justify="right")
    for points in zip(*results.values(), strict=True):
        table.add_row(f"{points[0]['minutes']:.1f}", *(f"{point['loss']:.4f}" for point in points))
    ends = {name: points[-1] for name, points in results.items()}
    first = next(iter(ends.values()))
    table.add_row("bits per byte", *(f"{end['bpb']:.4f}" for end in ends.values()))
    table.add_row("to the first", *(f"{100 * (end['bpb'] / first['bpb'] - 1):+.1f} %" for end in ends.values()))
    table.add_row("tokens", *(f"{end['tokens']:,}" for end in ends.values()))
    table.add_row("reached after", *(reached(points, first["loss"]) for points in results.values()))
    Console().print(table)


def reached(points: list[dict[str, float]], loss: float) -> str:
    return next((f"{point['minutes']:.1f} min" for point in points if point["loss"] <= loss), "never")


if __name__ == "__main__":
    main()
