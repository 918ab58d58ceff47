"""`python benchmarks/engine.py`: compares the engine with llama.cpp on the same weights.

The two programs run in turns, so that other load on the machine affects both alike. A round's figure is the best of
five runs; the ratio is the median over the rounds. Needs `make release` and `pip install -e '.[bench]'`.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from memory import resident_mb
from models import model_file

HERE = Path(__file__).resolve().parent
ENGINE = HERE.parent / "build" / "lai"
PEER = HERE / "llama_cpp_peer.py"
DTYPES = ("f32", "f16", "q8_0", "q4_0")
FIGURES = {"decode_128": "decode", "prefill_128": "prefill 128", "prefill_512": "prefill 512"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["tiny", "mini"], help="presets of conf/model")
    parser.add_argument("--dtypes", nargs="+", default=list(DTYPES), choices=DTYPES)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-peer", action="store_true", help="measure only the engine, not llama.cpp")
    parser.add_argument("--neighbour", action="store_true", help="keep one core busy with another program")
    parser.add_argument("--work", type=Path, default=Path("outputs/benchmarks"), help="folder for the models")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    neighbour = Neighbour() if options.neighbour else None
    results = []
    for name in options.models:
        for dtype in options.dtypes:
            ours = model_file(options.work, name, dtype)
            theirs = None if options.no_peer else gguf_file(ours)
            for threads in options.threads:
                result = {"model": name, "dtype": dtype, "threads": threads, "file_mb": ours.stat().st_size / 1e6}
                results.append(result | measure(ours, theirs, threads, options.rounds))
                print(json.dumps(results[-1]), file=sys.stderr)
            if theirs:
                print(
                    f"{name} {dtype}: logits differ by {difference(ours, theirs):.1e} of the largest", file=sys.stderr
                )
    if neighbour:
        neighbour.stop()
    show(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


def gguf_file(ours: Path) -> Path:
    """The same weights for llama.cpp."""
    from lai.export.checkpoint import Checkpoint
    from lai.export.gguf import write_gguf
    from lai.export.lai_file import read_model

    path = ours.with_suffix(".gguf")
    if not path.exists():
        model = read_model(ours)
        write_gguf(path, Checkpoint(model.config, model.vocab, model.weights, model.training), model.dtype)
    return path


def measure(ours: Path, theirs: Path | None, threads: int, rounds: int) -> dict[str, Any]:
    """The median of each figure over the rounds, and of each round's ratio."""
    engine: list[dict[str, float]] = []
    peer: list[dict[str, float]] = []
    for _ in range(rounds):
        engine.append(run_engine(ours, threads))
        if theirs:
            peer.append(run([sys.executable, str(PEER), str(theirs), str(threads)]))
    result: dict[str, Any] = {"lai": medians(engine)}
    if theirs:
        result["llama.cpp"] = medians(peer)
        rounds_of = list(zip(engine, peer, strict=True))
        result["ratio"] = {key: median(a[key] / b[key] for a, b in rounds_of) for key in FIGURES}
    return result


def medians(figures: list[dict[str, float]]) -> dict[str, float]:
    return {key: median(figure[key] for figure in figures) for key in figures[0] if key != "kernels"}


def run_engine(model: Path, threads: int) -> dict[str, float]:
    """Run `lai --bench`, one long answer, and processes up to their first token."""
    command = [str(ENGINE), "-m", str(model), "--threads", str(threads)]
    figures = run([*command, "--bench", "--json"])
    # One run: the best of several would hide the load of other programs.
    answer = run([*command, "--raw", "-p", "a", "--tokens", "250", "--temp", "0", "--repeat-penalty", "1", "--json"])
    firsts = []
    for _ in range(5):
        start = time.perf_counter()
        run([*command, "--raw", "-p", "a", "--tokens", "1", "--json"])
        firsts.append(1000 * (time.perf_counter() - start))
    return figures | {"first_token_ms": min(firsts), "answer_250": answer["timing"]["answer_tokens_per_second"]}


def run(command: list[str]) -> dict[str, Any]:
    """Run a program and return its JSON, with its peak resident memory in MB."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = 0.0
    while True:
        try:
            output, _ = process.communicate(timeout=0.005)
        except subprocess.TimeoutExpired:  # earlier, the process may still be a copy of this one
            peak = max(peak, resident_mb(process.pid))
            continue
        break
    if process.returncode:
        sys.exit(f"error: {' '.join(command)} ended with {process.returncode}")
    return {**json.loads(output), "memory_mb": peak}


def difference(ours: Path, theirs: Path) -> float:
    """The relative difference of the two programs' logits, to show that they run the same weights."""
    out = ours.with_suffix(".logits")
    prompt = "Kati is reading a book in the garden."
    command = [str(ENGINE), "-m", str(ours), "--raw", "-p", prompt, "--json", "--tokens", "0"]
    answer = json.loads(subprocess.run([*command, "--logits", str(out)], check=True, capture_output=True).stdout)
    ids = [str(token) for token in answer["prompt_ids"]]
    mine = np.fromfile(out, np.float32).reshape(len(ids), -1)[-1]
    subprocess.run([sys.executable, str(PEER), str(theirs), "1", "--logits", str(out), "--ids", *ids], check=True)
    other = np.fromfile(out, np.float32)
    out.unlink()
    return float(np.abs(mine - other).max() / np.abs(other).max())


class Neighbour:
    """A program that keeps one core busy."""

    def __init__(self) -> None:
        self._process = multiprocessing.get_context("spawn").Process(target=_spin, daemon=True)
        self._process.start()

    def stop(self) -> None:
        self._process.kill()


def _spin() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    while True:
        pass


def show(results: list[dict[str, Any]]) -> None:
    table = Table(title="tokens/s of the engine (and times llama.cpp)")
    for heading in (
        "model",
        "dtype",
        "threads",
        *FIGURES.values(),
        "answer 250",
        "of the ceiling",
        "first token ms",
        "memory MB",
        "file MB",
    ):
        table.add_column(heading, justify="left" if heading in ("model", "dtype") else "right")
    for result in results:
        ours, ratio = result["lai"], result.get("ratio", {})
        speeds = [f"{ours[key]:,.0f}" + (f" ({ratio[key]:.2f})" if key in ratio else "") for key in FIGURES]
        others = [
            f"{ours[key]:.1f}" + (f" ({result['llama.cpp'][key]:.1f})" if "llama.cpp" in result else "")
            for key in ("first_token_ms", "memory_mb")
        ]
        ceiling = f"{100 * ours['decode_128'] / ours['bandwidth_ceiling']:.0f} %"
        table.add_row(
            result["model"],
            result["dtype"],
            str(result["threads"]),
            *speeds,
            f"{ours['answer_250']:,.0f}",
            ceiling,
            *others,
            f"{result['file_mb']:.1f}",
        )
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
