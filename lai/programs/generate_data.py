"""Write generated Hungarian and English documents to a file, one a line."""

import argparse
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lai.data.sources.serialize import lines, output_kind
from lai.data.synthetic import Example, SyntheticConfig, entropy, generate
from lai.host.cli import run_program
from lai.host.files import atomic_write, target_of
from lai.programs.arguments import argument_parser
from lai.tokenizer.chat import render


def main() -> None:
    """The entry point of `lai-generate-data`."""
    run_program(_generate_data)


def _parse_arguments() -> argparse.Namespace:
    """The command line; its defaults are those of `SyntheticConfig`."""
    default = SyntheticConfig()
    parser = argument_parser(__doc__)
    parser.add_argument("--output", type=Path, required=True, help="the file to write, .txt or .jsonl")
    for name, meaning in (
        ("sentences", "documents of one sentence"),
        ("stories", "documents of one story"),
        ("translations", "translated pairs, two documents each"),
        ("instructions", "questions in each language"),
        ("conversations", "documents of several questions"),
        ("seed", "the same seed gives the same text"),
    ):
        number = getattr(default, name)
        parser.add_argument(f"--{name}", type=int, default=number, help=f"{meaning} (default: %(default)s)")
    parser.add_argument(
        "--lexicon", default=default.lexicon, help="full, small, or a number of content words (default: %(default)s)"
    )
    parser.add_argument("--report", action="store_true", help="print the entropy: no model's loss can be lower")
    return parser.parse_args()


def _generate_data() -> int:
    options = _parse_arguments()
    config = SyntheticConfig(
        sentences=options.sentences,
        stories=options.stories,
        translations=options.translations,
        instructions=options.instructions,
        conversations=options.conversations,
        seed=options.seed,
        lexicon=int(options.lexicon) if options.lexicon.isdecimal() else options.lexicon,
    )
    target_of(options.output)  # A wrong name is refused before the work, and so is a wrong ending.
    kind = output_kind(options.output)
    console = Console(soft_wrap=True)
    started = time.perf_counter()
    examples = list(generate(config))
    with atomic_write(options.output) as file:
        file.writelines(line for line in lines((example.document for example in examples), kind) if line is not None)
        size = file.tell()
    seconds = time.perf_counter() - started
    print_summary(console, examples, size)
    console.print(f"{options.output} written in {seconds:.1f} s", markup=False)
    if options.report:
        floor = entropy(config)
        console.print(
            f"floor: {floor.nats_per_document:.4f} nats a document (exact), {floor.bits_per_byte:.4f} bits a byte "
            f"(at {floor.bytes_per_document:.2f} ± {floor.bytes_standard_error:.2f} bytes a document)"
        )
    return 0


def print_summary(console: Console, examples: list[Example], size: int) -> None:
    """Print the number of documents by task, the share of unique ones, and five documents."""
    table = Table("task", "documents", "unique")
    counts = Counter(example.task for example in examples)
    unique = Counter(task for task, _ in {(example.task, example.document) for example in examples})
    for task, count in counts.most_common():
        table.add_row(task, f"{count:,}", f"{unique[task] / count:.1%}")
    share = sum(unique.values()) / len(examples)
    table.add_row("all", f"{len(examples):,}", f"{share:.1%}", style="bold")
    console.print(table)
    console.print(f"{size:,} bytes; for example:")
    for example in examples[:5]:
        console.print("  " + escape(render(example.document).decode()), highlight=False)


if __name__ == "__main__":
    main()
