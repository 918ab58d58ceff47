"""`python scripts/plot_metrics.py RUN [RUN …] --output loss.png`: the loss curves of runs as a picture."""

import argparse
import csv
from pathlib import Path

from lai.host.cli import run_program
from lai.host.errors import UserError
from lai.host.files import atomic_write

Curve = list[tuple[int, float]]


def read_curves(run: Path) -> dict[str, Curve]:
    """The (step, value) points of `train/loss`, `val/loss` and, of generated text, its floor in a run's metrics.csv.

    Raises:
        UserError: the run has no metrics.csv, or nothing is logged in it.
    """
    path = run if run.is_file() else run / "metrics.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UserError(f"cannot read {path}: {cause}; give a folder under outputs/<date>/<time>") from None
    try:
        curves = {
            name: [(int(row["step"]), float(row[name])) for row in rows if row.get(name)]
            for name in ("train/loss", "val/loss", "val/loss_floor")
        }
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not the metrics.csv of a run, or damaged ({error})") from None
    if not any(curves.values()):
        raise UserError(f"{path} holds no losses; the run ended before its first log line")
    return curves


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs, as in outputs/<date>/<time>")
    parser.add_argument("--output", type=Path, default=Path("loss.png"), help="the picture (default: %(default)s)")
    options = parser.parse_intermixed_args()
    curves = {run: read_curves(run) for run in options.runs}

    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    formats = plt.gcf().canvas.get_supported_filetypes()
    kind = options.output.suffix.lower().removeprefix(".")
    if kind not in formats:
        raise UserError(f"--output {options.output} has no ending of a picture; expected one of {', '.join(formats)}")
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for number, (run, found) in enumerate(curves.items()):
        label = "" if len(curves) == 1 else f" {run}"
        color = f"C{number}"
        axes.plot(*zip(*found["train/loss"], strict=True), color=color, alpha=0.4, label=f"train/loss{label}")
        if found["val/loss"]:
            axes.plot(*zip(*found["val/loss"], strict=True), color=color, marker="o", label=f"val/loss{label}")
        if found["val/loss_floor"]:
            floor = found["val/loss_floor"][-1][1]
            axes.axhline(floor, color=color, linestyle="--", label=f"the generator's own loss{label}")
    axes.set(xlabel="step", ylabel="nats per token", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_write(options.output) as file:
        figure.savefig(file, format=kind, dpi=120)
    print(f"{options.output} written")
    return 0


if __name__ == "__main__":
    run_program(main)
