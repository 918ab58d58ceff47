"""Trains `nano` for hours while it is killed at random, and shows whether memory and files stay flat.

    python benchmarks/soak.py --minutes 120 --folder soak [--between 5] [--seed 0]

One command (resume=auto) starts the run and resumes it. It validates about once a minute. After a random time,
`--between` minutes on average, SIGKILL, SIGTERM, SIGHUP, SIGUSR1 or Ctrl-C ends it. When the time is over, the run is
resumed for a hundred steps, ends and exports. The engine and PyTorch must then give equal greedy answers.

FOLDER/soak.csv has a line each five seconds, FOLDER/soak.png is its picture where matplotlib is installed.
"""

import argparse
import csv
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
SIGNALS = ("SIGKILL", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGINT")
PROMPTS = ("Hello, how are you?", "Translate to Hungarian: The cook played in the forest.", "Szia!")
RUN = [
    "model=nano", "resume=auto", "hydra.run.dir=run", "export.path=model.bin", "data.vocab_size=1000",
    "data.val_fraction=0.02",
    "data.synthetic.sentences=4000", "data.synthetic.stories=400", "data.synthetic.translations=1000",
    "data.synthetic.instructions=400", "data.cache_dir=cache", "trainer.max_epochs=1000000",
    "trainer.check_val_every_n_epoch=null", "checkpoint.minutes=1", "device.threads=1",
]  # fmt: skip
_SETTLED = 90  # seconds after a start, when the first validation and the first checkpoint are over
_PERIOD = 5


@dataclass(frozen=True)
class Sample:
    """What was seen at one moment: bytes, and numbers of files."""

    seconds: float
    start: int
    since_start: float
    memory: int
    descriptors: int
    files: int
    stored: int


def main() -> int:
    """Run, print a table, and return how many of the promises are broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--between", type=float, default=5, help="minutes between kills, on average")
    parser.add_argument("--every", type=int, default=1500, help="steps between validations, about a minute")
    parser.add_argument("--folder", type=Path, required=True, help="a new folder")
    parser.add_argument("--engine", type=Path, default=ROOT / "build" / "lai")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.folder.mkdir(parents=True)
    os.chdir(options.folder)
    command = [sys.executable, "-m", "lai.train", *RUN, f"trainer.val_check_interval={options.every}"]

    chance = random.Random(options.seed)
    samples: list[Sample] = []
    kills: Counter[str] = Counter()
    broken: list[str] = []
    begun, start, reached = time.monotonic(), 0, 0
    end = begun + 60 * options.minutes
    while time.monotonic() < end:
        start += 1
        name = chance.choice(SIGNALS)
        wait = min(chance.expovariate(1 / (60 * options.between)), end - time.monotonic())
        status = _run_until_killed(command, name, wait, samples, begun, start)
        kills[name] += 1
        expected = -signal.SIGKILL if name == "SIGKILL" else 128 + getattr(signal, name)
        if status != expected:
            broken.append(f"start {start}: status {status} after {name}, expected {expected}")
        step = _step()
        if step < reached:
            broken.append(f"start {start}: last.ckpt is at step {step}, it was at {reached}")
        reached = max(step, reached)
        _write(samples)
    finished = subprocess.run([*command, f"trainer.max_steps={reached + 100}"], stdout=_log(), stderr=subprocess.STDOUT)
    if finished.returncode:
        broken.append(f"the last start ended with status {finished.returncode}")
    else:
        broken += [f"answers differ: {prompt}" for prompt in PROMPTS if not _answers_agree(options.engine, prompt)]
    _report(samples, kills, reached, broken)
    return len(broken)


def _run_until_killed(
    command: list[str], name: str, wait: float, samples: list[Sample], begun: float, start: int
) -> int:
    """Start the run, look at it each few seconds, send it a signal; gives its status."""
    born = time.monotonic()
    with subprocess.Popen(command, stdout=_log(), stderr=subprocess.STDOUT) as process:
        while time.monotonic() < born + wait and process.poll() is None:
            time.sleep(min(_PERIOD, max(0.01, born + wait - time.monotonic())))
            with suppress(OSError, KeyError):  # it may have ended
                samples.append(_look(process.pid, time.monotonic() - begun, start, time.monotonic() - born))
        process.send_signal(getattr(signal, name))
        try:
            return process.wait(120)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def _look(process: int, seconds: float, start: int, since_start: float) -> Sample:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    files = [path for path in Path("run").rglob("*") if path.is_file()]
    stored = 0
    for path in files:
        with suppress(FileNotFoundError):  # a temporary file has got its name meanwhile
            stored += path.stat().st_size
    descriptors = sum(1 for _ in Path(f"/proc/{process}/fd").iterdir())
    return Sample(seconds, start, since_start, 1024 * int(status["VmRSS"].split()[0]), descriptors, len(files), stored)


def _step() -> int:
    """The step of last.ckpt; 0 where there is none."""
    path = Path("run/checkpoints/last.ckpt")
    return int(torch.load(path, map_location="cpu", weights_only=True)["global_step"]) if path.is_file() else 0


def _answers_agree(engine: Path, prompt: str) -> bool:
    ours = [sys.executable, "-m", "lai.generate", "-m", "model.bin", "-p", prompt, "--temp", "0"]
    theirs = [str(engine), "-m", "model.bin", "-p", prompt, "--temp", "0"]
    return (
        len({subprocess.run(command, capture_output=True, check=True).stdout.strip() for command in (ours, theirs)})
        == 1
    )


def _log() -> int:
    return os.open("screen.txt", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)


def _write(samples: list[Sample]) -> None:
    with Path("soak.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(field.name for field in fields(Sample))
        table.writerows(map(astuple, samples))


def _report(samples: list[Sample], kills: Counter[str], reached: int, broken: list[str]) -> None:
    settled = [sample for sample in samples if sample.since_start > _SETTLED] or samples
    quarter = max(1, len(settled) // 4)
    print(
        f"{samples[-1].seconds / 60:.0f} minutes, {sum(kills.values())} starts, {reached} steps; ended by {dict(kills)}"
    )
    print("| | first quarter | last quarter | highest |\n| --- | --- | --- | --- |")
    for name, unit, scale in (
        ("memory", "MB", 1e6), ("descriptors", "", 1), ("files", "", 1), ("stored", "MB", 1e6),
    ):  # fmt: skip
        values = [getattr(sample, name) / scale for sample in settled]
        first, last = statistics.median(values[:quarter]), statistics.median(values[-quarter:])
        print(f"| {name} {unit} | {first:.1f} | {last:.1f} | {max(values):.1f} |")
    print("\n".join(broken) or "every start went on; the last one exported, and its answers agree")
    with suppress(ImportError):
        _draw(samples)


def _draw(samples: list[Sample]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (above, below) = pyplot.subplots(2, 1, sharex=True, figsize=(9, 5))
    minutes = [sample.seconds / 60 for sample in samples]
    above.plot(minutes, [sample.memory / 1e6 for sample in samples], ".", markersize=2)
    above.set(ylabel="memory (RSS), MB", ylim=(0, None), title="nano, ended and resumed at random")
    below.plot(minutes, [sample.files for sample in samples], label="files of the run")
    below.plot(minutes, [sample.descriptors for sample in samples], ".", markersize=2, label="open files")
    below.set(xlabel="minutes", ylabel="number", ylim=(0, None))
    below.legend()
    figure.savefig("soak.png", dpi=110, bbox_inches="tight")


if __name__ == "__main__":
    sys.exit(main())
