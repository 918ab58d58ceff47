"""`python scripts/export.py CKPT --output FILE`: make a model file from a checkpoint alone."""

import argparse
from pathlib import Path

from lai.errors import run_program
from lai.export.checkpoint import read_checkpoint
from lai.export.quantize import DTYPES
from lai.export.verified import export_model


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="a .ckpt under outputs/<date>/<time>/checkpoints")
    parser.add_argument("--output", type=Path, required=True, help="the model file to write")
    parser.add_argument("--dtype", choices=DTYPES, default="f32", help="weight dtype (default: %(default)s)")
    options = parser.parse_args()
    config, vocab, weights = read_checkpoint(options.checkpoint)
    print(export_model(options.output, config, weights, vocab, options.dtype))
    return 0


if __name__ == "__main__":
    run_program(main)
