"""Draw the loss curves of runs as a picture."""

from pathlib import Path

from lai.host.cli import run_program
from lai.programs.arguments import argument_parser
from lai.run.curves import draw_curves, read_curves


def main() -> None:
    """The entry point of `lai-plot`."""
    run_program(_plot)


def _plot() -> int:
    parser = argument_parser(__doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs, as in outputs/<date>/<time>")
    parser.add_argument("--output", type=Path, default=Path("loss.png"), help="the picture (default: %(default)s)")
    options = parser.parse_intermixed_args()
    draw_curves({run: read_curves(run) for run in options.runs}, options.output)
    print(f"{options.output} written")
    return 0


if __name__ == "__main__":
    main()
