"""Write a model file, a GGUF file (llama.cpp) or a Hugging Face folder from a checkpoint, or from any of these."""

import argparse
from pathlib import Path

from lai.config.schema import EXPORT_FORMATS
from lai.export.checkpoint import Checkpoint
from lai.export.formats import OtherExport, check_format, export_other, path_beside
from lai.export.gguf import DTYPES
from lai.export.lai_file import ENDING, model_target
from lai.export.reading.source import read_stored
from lai.export.verify import ExportReport, export_model
from lai.host.cli import run_program
from lai.host.errors import UserError
from lai.programs.arguments import argument_parser

_FORMAT_OF = {".gguf": "gguf", ".hf": "hf"}


def main() -> None:
    """The entry point of `lai-export`."""
    run_program(_export)


def _parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument(
        "source",
        type=Path,
        metavar="FILE",
        help="a .ckpt under outputs/<date>/<time>/checkpoints, a model file, a GGUF file, a Hugging Face folder or a "
        "run's folder",
    )
    parser.add_argument(
        "--format",
        choices=EXPORT_FORMATS,
        help="lai: model file, .bin; gguf: for llama.cpp; hf: folder for transformers (default: by --output, else lai)",
    )
    parser.add_argument(
        "--output", type=Path, help="what to write: .bin, .gguf or a folder (default: beside FILE, with its stem)"
    )
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        default="f32",
        help="weight dtype; lai has no bf16, hf no q8_0 and q4_0 (default: %(default)s)",
    )
    options = parser.parse_args()
    options.format = options.format or _FORMAT_OF.get(options.output.suffix if options.output else "", "lai")
    return options


def _export() -> int:
    options = _parse_arguments()
    # What the format cannot hold, whatever the model is, and a wrong name are refused before anything is read.
    check_format(options.format, "silu", options.dtype)
    output = options.output or _beside(options.format, options.source)
    if options.format == "lai":
        model_target(output)
    source = _read(options.source, options.dtype)
    report = _write(options.format, output, source, options.dtype)
    print(report)
    if (kept := report.kept_line()) is not None:
        print(kept)
    return 0


def _write(format_: str, output: Path, source: Checkpoint, dtype: str) -> ExportReport | OtherExport:
    if format_ != "lai":
        return export_other(format_, output, source, dtype)
    return export_model(output, source.config, source.weights, source.vocab, dtype, source.training, source.manifest)


def _beside(format_: str, source: Path) -> Path:
    path = source.with_suffix(ENDING) if format_ == "lai" else path_beside(format_, source)
    if path == source:
        raise UserError(f"{source} would be written over itself; give the new model file's name as --output")
    return path


def _read(path: Path, dtype: str) -> Checkpoint:
    """The model with its vocabulary; warns of weights that were rounded before."""
    model = read_stored(path)
    found = model.with_text()
    if model.is_rounded and dtype != model.dtype:
        print(
            f"note: the weights of {path} are rounded to {model.dtype} already; {dtype} does not restore them; "
            "an export of the checkpoint or of an f32 file is more exact"
        )
    return found


if __name__ == "__main__":
    main()
