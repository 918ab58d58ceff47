"""The loss curves of runs: read from metrics.csv, drawn as a picture."""

import csv
from collections.abc import Mapping
from pathlib import Path

from lai.host.errors import UserError
from lai.host.files import atomic_write, check_regular
from lai.host.pictures import pyplot

Curve = list[tuple[int, float]]
"""(step, value) points."""


def read_curves(run: Path) -> dict[str, Curve]:
    """The curves of `train/loss`, `val/loss` and `val/loss_floor`, the loss of the text's generator.

    Args:
        run: the run's folder, or its metrics.csv.

    Raises:
        UserError: the run has no metrics.csv, or no loss is logged in it.
    """
    path = run if run.is_file() else run / "metrics.csv"
    if path.exists():
        check_regular(path)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is not a text file of numbers"
        raise UserError(f"cannot read {path}: {cause}; give a folder under outputs/<date>/<time>") from None
    try:
        curves = {
            name: [(int(row["step"]), float(row[name])) for row in rows if row.get(name)]
            for name in ("train/loss", "val/loss", "val/loss_floor")
        }
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not the metrics.csv of a run, or it is damaged ({error})") from None
    if not any(curves.values()):
        raise UserError(f"{path} holds no losses; the run ended before its first log line")
    return curves


def draw_curves(runs: Mapping[Path, Mapping[str, Curve]], output: Path) -> None:
    """Draw the curves of each run, in nats a token, and write the picture.

    Args:
        runs: the curves of `read_curves` by run.
        output: the picture; its ending chooses the format.

    Raises:
        UserError: matplotlib is not installed or writes no such format, or `output` cannot be written.
    """
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    formats = figure.canvas.get_supported_filetypes()
    kind = output.suffix.lower().removeprefix(".")
    if kind not in formats:
        raise UserError(f"--output {output} has no ending of a picture; expected one of {', '.join(formats)}")
    for number, (run, curves) in enumerate(runs.items()):
        label = "" if len(runs) == 1 else f" {run}"
        color = f"C{number}"
        axes.plot(*zip(*curves["train/loss"], strict=True), color=color, alpha=0.4, label=f"train/loss{label}")
        if curves["val/loss"]:
            axes.plot(*zip(*curves["val/loss"], strict=True), color=color, marker="o", label=f"val/loss{label}")
        if curves["val/loss_floor"]:
            floor = curves["val/loss_floor"][-1][1]
            axes.axhline(floor, color=color, linestyle="--", label=f"loss of the generator{label}")
    axes.set(xlabel="step", ylabel="nats per token", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_write(output) as file:
        figure.savefig(file, format=kind, dpi=120)
