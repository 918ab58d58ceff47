"""Measure how fast large text becomes vocabulary, token files and report: this tree, an earlier one, tokenizers.

The programs run in turns, so that a busy machine slows them alike; the ratios of each turn count, not the times.

    git worktree add ../earlier d6eadea
    python -m venv ../peer && ../peer/bin/pip install tokenizers
    python benchmarks/prepare.py TEXT.txt --earlier ../earlier --tokenizers ../peer/bin/python
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_VOCAB_SIZE = 16_000
_TREE = Path(__file__).resolve().parents[1]

_PREPARE = """
import sys
from lai.config.schema import DataSettings
from lai.data.prepare import prepare_corpus
prepare_corpus(DataSettings(path=sys.argv[1], cache_dir=sys.argv[2], vocab_size=int(sys.argv[3]), source="hub",
                            min_freq=2, val_fraction=0.05, split_seed=0, batch_size=8))
"""

_TOKENIZERS = """
import sys
from itertools import islice
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
alphabet = pre_tokenizers.ByteLevel.alphabet()
trainer = trainers.BpeTrainer(vocab_size=int(sys.argv[3]), show_progress=False, initial_alphabet=alphabet)
tokenizer.train([sys.argv[1]], trainer)
with open(sys.argv[1], encoding="utf-8", errors="replace", newline="\\n") as lines:
    while batch := [line.rstrip("\\n") for line in islice(lines, 20_000)]:
        sum(len(encoding.ids) for encoding in tokenizer.encode_batch(batch))
"""


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path, help="a text file, one document a line")
    parser.add_argument("--earlier", type=Path, help="the tree to compare with")
    parser.add_argument("--tokenizers", type=Path, help="a Python that has the tokenizers library")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    programs = {"this tree": (sys.executable, _PREPARE, _TREE)}
    if options.earlier:
        programs["earlier tree"] = (sys.executable, _PREPARE, options.earlier.resolve())
    if options.tokenizers:
        programs["tokenizers"] = (str(options.tokenizers), _TOKENIZERS, None)
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    memory: dict[str, list[int]] = {name: [] for name in programs}
    for _ in range(options.turns):
        for name, (python, code, tree) in programs.items():
            with tempfile.TemporaryDirectory() as cache:
                taken, peak = _measure([python, "-c", code, str(options.text.resolve()), cache, str(_VOCAB_SIZE)], tree)
            seconds[name].append(taken)
            memory[name].append(peak)
            print(f"{name:14} {taken:7.1f} s  {peak / 1e6:6.0f} MB", flush=True)
    for name in programs:
        ratios = [taken / ours for taken, ours in zip(seconds[name], seconds["this tree"], strict=True)]
        print(
            f"{name:14} median {statistics.median(seconds[name]):7.1f} s, {statistics.median(ratios):.2f} x the time "
            f"of this tree, at most {max(memory[name]) / 1e6:.0f} MB"
        )


def _measure(command: Sequence[str], tree: Path | None) -> tuple[float, int]:
    """Seconds, and the peak of the memory of the process and its children, shared pages counted once (PSS)."""
    environment = os.environ | ({} if tree is None else {"PYTHONPATH": str(tree)})
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, subprocess.Popen(command, env=environment, cwd=folder) as process:
        peak = 0
        while process.poll() is None:
            peak = max(peak, sum(map(_shared_memory, _family(process.pid))))
            time.sleep(0.2)
        if process.returncode:
            raise SystemExit(f"{command[0]} ended with status {process.returncode}")
    return time.perf_counter() - started, peak


def _family(first: int) -> set[int]:
    """A process and its children."""
    family = {first}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(status.read_text().rpartition(")")[2].split()[1]) == first:
                family.add(int(status.parent.name))
    return family


def _shared_memory(process: int) -> int:
    """The proportional set size of a process in bytes; 0 if it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return 1024 * int(line.split()[1])
    return 0


if __name__ == "__main__":
    main()
