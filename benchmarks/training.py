"""`python benchmarks/training.py`: the speed of training, compared with the machine's ceiling and with another library.

Each kind runs in a process of its own, in turns, on the same data, with batches of the same shape:

  ceiling       only the matmuls of this model, forward and backward, in float32, and in bfloat16 if the
                CPU or GPU multiplies it
  bare          a plain PyTorch loop over our network
  lai.train     `python -m lai.train`, as a user runs it
  transformers  a plain loop over LlamaForCausalLM of the same size; needs `pip install -e '.[bench]'`
  transformers-compiled  the same with `torch.compile`, where ours is compiled

`device.compile=auto` is decided as for a whole run, not for these few steps.

Floating-point operations per token: 6 per weight in a matmul, and 6 · n_layers · dim · seq_len for causal attention.
That is two matmuls over half the positions, once forward and twice backward (Kaplan et al. 2020; PaLM, appendix B).
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from bare import batches, loss_of, prepared, step, torch_device
from lai.config.compose import compose_run
from lai.config.schema import RunConfig
from lai.data.prepare import Corpus
from lai.host.cpu import multiplies_bf16
from lai.model.optimizers import build_optimizer
from lai.model.transformer import ModelConfig
from lai.run import build as assembly
from lai.run.compile import choose_compiling
from memory import resident_mb

WARM_UP = 3  # steps that are not timed
KINDS = ("ceiling", "bare", "lai.train", "transformers", "transformers-compiled")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny", help="a preset of conf/model")
    parser.add_argument("--device", default="cpu", help="a file of conf/device")
    parser.add_argument("--kinds", nargs="+", choices=KINDS)
    parser.add_argument("--steps", type=int, default=10, help="timed steps per round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--worker", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("overrides", nargs="*", help="settings of lai.train, such as data.batch_size=8")
    options = parser.parse_intermixed_args()
    overrides = [f"model={options.model}", f"device={options.device}", "data=synthetic", *options.overrides]
    if options.worker:
        print(json.dumps(WORKERS[options.worker](compose_run(overrides), overrides, options.steps)))
        return
    run = compose_run(overrides)
    corpus, config = prepared(run)  # once, not in the first worker
    choose_compiling(run, config, corpus.token_files.stats.train.tokens, processes=1)
    compiled = f"device.compile={str(bool(run.device.compile)).lower()}"
    kinds = options.kinds or (KINDS if run.device.compile else KINDS[:-1])
    figures: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    for _ in range(options.rounds):
        for kind in kinds:
            command = [sys.executable, __file__, "--worker", kind, "--steps", str(options.steps)]
            command += ["--model", options.model, "--device", options.device, *options.overrides, compiled]
            answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            figures[kind].append(json.loads(answer.splitlines()[-1]))
            print(kind, figures[kind][-1], file=sys.stderr)
    results = {kind: {key: median(run[key] for run in runs) for key in runs[0]} for kind, runs in figures.items()}
    assert run.data.seq_len is not None
    flops = flops_per_token(config, run.data.seq_len)
    mixed = str(run.trainer["precision"]).startswith("bf16")
    shape = f"{run.data.batch_size} rows of {run.data.seq_len} tokens, {torch.get_num_threads()} threads"
    how = f"{run.trainer['precision']}, {'compiled' if run.device.compile else 'not compiled'}"
    print(f"{options.model}, {shape}, {how}, {flops / 1e6:.0f} MFLOP per token")
    show(results, flops, "bf16_flops" if mixed else "fp32_flops")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


def flops_per_token(config: ModelConfig, seq_len: int) -> float:
    """By the formula above. The embedding is a lookup, not a matmul."""
    _, inner = config.parameter_counts()
    return 6.0 * (inner + config.vocab_size * config.dim + config.n_layers * config.dim * seq_len)


def ceiling(run: RunConfig, overrides: list[str], steps: int) -> dict[str, float]:
    """FLOP/s of the matmuls of a step, for each dtype."""
    _, config = prepared(run)
    tokens = run.data.batch_size * (run.data.seq_len or 0)
    device = torch_device(run)
    inner = [
        (config.dim, config.dim),
        (config.dim, config.kv_dim),
        (config.dim, config.kv_dim),
        (config.dim, config.dim),
    ]
    inner += 2 * [(config.dim, config.hidden_dim)] + [(config.hidden_dim, config.dim)]
    shapes = config.n_layers * inner + [(config.dim, config.vocab_size)]
    rates = {}
    dtypes = {"fp32": torch.float32}
    if device.type != "cpu" or multiplies_bf16():  # without bfloat16 instructions a step takes minutes
        dtypes["bf16"] = torch.bfloat16
    for name, dtype in dtypes.items():
        arguments = [
            tuple(torch.randn(size, device=device).to(dtype) for size in ((tokens, a), (b, a), (tokens, b)))
            for a, b in shapes
        ]

        def products(arguments: list[tuple[Tensor, ...]] = arguments) -> None:
            for x, weight, gradient in arguments:
                x @ weight.T
                gradient @ weight
                gradient.T @ x

        flops = 6.0 * tokens * sum(a * b for a, b in shapes)
        rates[f"{name}_flops"] = flops / seconds_of(products, steps, device)
    return rates


def seconds_of(action: Callable[[], Any], steps: int, device: torch.device) -> float:
    """The median time of a step."""
    times = []
    for number in range(WARM_UP + steps):
        start = time.perf_counter()
        action()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if number >= WARM_UP:
            times.append(time.perf_counter() - start)
    return median(times)


def train_bare(
    run: RunConfig, corpus: Corpus, network: nn.Module, loss_of: Callable[[dict[str, Tensor]], Tensor], steps: int
) -> dict[str, float]:
    """Tokens per second and peak memory."""
    device = torch_device(run)
    optimizer = build_optimizer(network, run.optimizer)
    source = batches(run, corpus)
    tokens: list[int] = []

    def timed() -> None:
        batch = next(source)
        tokens.append(int((batch["targets"] >= 0).sum()))
        step(run, network, optimizer, loss_of, batch)

    seconds = seconds_of(timed, steps, device)
    return {"tokens_per_second": sum(tokens[WARM_UP:]) / steps / seconds, "peak_mb": peak_mb(device)}


def bare(run: RunConfig, overrides: list[str], steps: int) -> dict[str, float]:
    corpus, config = prepared(run)
    module = assembly.build_module(run, config, corpus).to(torch_device(run))
    network = module.model

    return train_bare(run, corpus, network, partial(loss_of, network), steps)


def transformers(run: RunConfig, overrides: list[str], steps: int, compiled: bool = False) -> dict[str, float]:
    from transformers import LlamaConfig, LlamaForCausalLM

    corpus, config = prepared(run)
    peer = LlamaConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.dim,
        intermediate_size=config.hidden_dim,
        num_hidden_layers=config.n_layers,
        num_attention_heads=config.n_heads,
        num_key_value_heads=config.n_kv_heads,
        max_position_embeddings=config.max_seq_len,
        rms_norm_eps=config.norm_eps,
        tie_word_embeddings=config.tie_embeddings,
        use_cache=False,
    )
    network = LlamaForCausalLM(peer).to(torch_device(run))
    if compiled:
        network.compile()

    def peer_loss(batch: dict[str, Tensor]) -> Tensor:
        loss: Tensor = network(input_ids=batch["tokens"], shift_labels=batch["targets"], labels=batch["targets"]).loss
        return loss

    return train_bare(run, corpus, network, peer_loss, steps)


def lai_train(run: RunConfig, overrides: list[str], steps: int) -> dict[str, float]:
    """Run the whole program and use the rate that it logs after the first steps."""
    with tempfile.TemporaryDirectory() as folder:
        own = [f"hydra.run.dir={folder}/run", f"export.path={folder}/model.bin", "trainer.log_every_n_steps=5"]
        own += [f"trainer.max_steps={5 + steps}", "trainer.limit_val_batches=0", "callbacks.checkpoint=null"]
        process = subprocess.Popen([sys.executable, "-m", "lai.train", *overrides, *own], stdout=subprocess.DEVNULL)
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, resident_mb(process.pid))
            time.sleep(0.05)
        if process.returncode:
            sys.exit(f"error: lai.train ended with {process.returncode}")
        rows = list(csv.DictReader((Path(folder) / "run" / "metrics.csv").open()))
    rates = [float(row["train/tokens_per_second"]) for row in rows if row.get("train/tokens_per_second")]
    return {"tokens_per_second": median(rates[1:]), "peak_mb": peak}  # the first rate includes warm-up


def peak_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    return resident_mb(os.getpid())


WORKERS: dict[str, Callable[[RunConfig, list[str], int], dict[str, float]]] = {
    "ceiling": ceiling,
    "bare": bare,
    "lai.train": lai_train,
    "transformers": transformers,
    "transformers-compiled": partial(transformers, compiled=True),
}


def show(results: dict[str, dict[str, float]], flops: float, dtype: str) -> None:
    """Print the figures and the share of the ceiling that each kind reaches."""
    limit = results.get("ceiling", {}).get(dtype)
    for name, flops_per_second in results.get("ceiling", {}).items():
        print(f"ceiling in {name.removesuffix('_flops')}: {flops_per_second / 1e9:,.0f} GFLOP/s")
    table = Table()
    for heading in ("", "tokens/s", "GFLOP/s", "of the ceiling", "peak MB", "to bare"):
        table.add_column(heading, justify="right" if heading else "left")
    for kind, figures in results.items():
        if kind == "ceiling":
            continue
        rate = figures["tokens_per_second"]
        share = f"{100 * rate * flops / limit:.0f} %" if limit else ""
        ratio = f"{rate / results['bare']['tokens_per_second']:.2f}" if "bare" in results else ""
        table.add_row(kind, f"{rate:,.0f}", f"{rate * flops / 1e9:,.0f}", share, f"{figures['peak_mb']:,.0f}", ratio)
    Console().print(table)


if __name__ == "__main__":
    main()
