"""Learn a vocabulary from documents and write it to a file."""

import argparse
import re
import shlex
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lai.data.prepare import sample_text, workers_for
from lai.data.sources.discovery import find_files
from lai.data.sources.streams import CorpusCounts
from lai.host.cli import run_program
from lai.host.errors import UserError
from lai.host.files import target_of
from lai.programs.arguments import add_reading_arguments, argument_parser, reading_of
from lai.tokenizer.train import TrainingReport, train_on_sample
from lai.tokenizer.vocab import VOCAB_MAGIC


def main() -> None:
    """The entry point of `lai-build-vocab`."""
    run_program(_build_vocab)


def _parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--data", nargs="+", action="extend", required=True, help="text files, folders or patterns")
    parser.add_argument("--vocab_size", type=int, default=8000, help="number of tokens at most (default: %(default)s)")
    parser.add_argument(
        "--min_freq", type=int, default=2, help="a token must occur this often in the text (default: %(default)s)"
    )
    parser.add_argument(
        "--normalize",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="fold the text, as data.normalize does (default: yes)",
    )
    add_reading_arguments(parser)
    parser.add_argument("--output", type=Path, default="data/vocab.bin", help="file to write (default: %(default)s)")
    return parser.parse_args()


def _build_vocab() -> int:
    options = _parse_arguments()
    started = time.perf_counter()
    target_of(options.output, VOCAB_MAGIC)  # A wrong name is refused before the work.
    reading = replace(reading_of(options), normalize=options.normalize)
    files = find_files(options.data, reading)
    counts = CorpusCounts()
    with workers_for(files) as workers:
        sample = sample_text(files, counts, reading, workers)
        vocab, report = train_on_sample(sample, options.vocab_size, options.min_freq, workers)
    if report.texts == 0:
        raise UserError(f"{', '.join(options.data)}: no document found; expected at least one line of text")
    vocab.save(options.output)
    console = Console(highlight=False, soft_wrap=True)
    console.print(summary(counts, report, len(vocab), options.min_freq, time.perf_counter() - started))
    console.print(f"Written to {options.output}, sha256 {vocab.fingerprint[:16]}…", markup=False)
    console.print(f"Train with it:  {training_command(options.data, options.output, options.normalize)}", markup=False)
    return 0


def training_command(data: list[str], vocab_path: Path, normalize: bool = True) -> str:
    """The shell command that trains on the same text with this vocabulary."""
    paths = ", ".join(f"'{path}'" for path in data)
    overrides = [f"data.path={paths if len(data) == 1 else f'[{paths}]'}", f"data.vocab_path='{vocab_path}'"]
    if not normalize:
        overrides.append("data.normalize=false")
    plain = re.compile(r"'([\w./-]+)'")  # needs no quotes
    return shlex.join(["python", "-m", "lai.train", *(plain.sub(r"\1", override) for override in overrides)])


def summary(counts: CorpusCounts, report: TrainingReport, n_tokens: int, min_freq: int, seconds: float) -> Table:
    """What was read and what was learned, one fact a line."""
    rows = [
        ("documents", f"{counts.documents:,}"),
        ("text", f"{report.text_bytes:,} bytes"),
        ("tokens", f"{n_tokens:,}, of these {report.learned:,} learned"),
        ("stepping stones", f"{report.stepping_stones:,} tokens, kept because longer tokens are merged from them"),
        ("removed", f"{report.removed:,} candidates that occur less than {min_freq} times"),
        ("bytes per token", f"{report.bytes_per_token:.2f} on this text"),
        ("time", f"{seconds:.1f} s"),
    ]
    if report.sample_bytes < report.text_bytes:
        rows.insert(2, ("learned from", f"{report.sample_bytes:,} bytes of it, sampled evenly"))
    if report.unfilled:
        rows.append(("not filled", f"{report.unfilled:,} tokens: the text has no more that occur {min_freq} times"))
    table = Table(box=None, show_header=False)
    for row in rows:
        table.add_row(*row)
    return table


if __name__ == "__main__":
    main()
