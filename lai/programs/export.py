"""Write a model file from a checkpoint, or from another model file."""

import argparse
from pathlib import Path

from lai.export.checkpoint import Checkpoint, read_checkpoint
from lai.export.lai_file import is_model_file, model_target, read_model
from lai.export.quantize import DTYPES
from lai.export.verify import export_model
from lai.host.cli import run_program
from lai.programs.arguments import argument_parser


def main() -> None:
    """The entry point of `lai-export`."""
    run_program(_export)


def _parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument(
        "source", type=Path, metavar="FILE", help="a .ckpt under outputs/<date>/<time>/checkpoints, or a model file"
    )
    parser.add_argument("--output", type=Path, required=True, help="the model file to write, .bin")
    parser.add_argument("--dtype", choices=DTYPES, default="f32", help="weight dtype (default: %(default)s)")
    return parser.parse_args()


def _export() -> int:
    options = _parse_arguments()
    model_target(options.output)  # A wrong name is refused before anything is read.
    source = _read(options.source, options.dtype)
    report = export_model(
        options.output, source.config, source.weights, source.vocab, options.dtype, source.training, source.manifest
    )
    print(report)
    if (kept := report.kept_line()) is not None:
        print(kept)
    return 0


def _read(path: Path, dtype: str) -> Checkpoint:
    """The checkpoint, or a model file's content as one; warns of weights that were rounded before."""
    if not is_model_file(path):
        return read_checkpoint(path)
    model = read_model(path)
    if model.dtype in ("q8_0", "q4_0") and dtype != model.dtype:
        print(
            f"note: the weights of {path} are rounded to {model.dtype} already; {dtype} does not restore them; "
            "an export of the checkpoint or of an f32 file is more exact"
        )
    return Checkpoint(model.config, model.vocab, model.weights, model.training, manifest=model.manifest)


if __name__ == "__main__":
    main()
