"""Write a text of synthetic Hungarian and English documents, one a line."""

import argparse
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lai.data.sources.writing import lines, written_kind
from lai.data.synthetic import Example, SyntheticConfig, entropy, generate
from lai.host.cli import run_program
from lai.host.files import atomic_write, target_of
from lai.tokenizer.chat import render


def parse_arguments() -> argparse.Namespace:
    """The command line; the numbers' defaults are those of `SyntheticConfig`."""
    default = SyntheticConfig()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="the file to write, .txt or .jsonl")
    parser.add_argument("--sentences", type=int, default=default.sentences, help="documents of one sentence")
    parser.add_argument("--stories", type=int, default=default.stories, help="documents of one story")
    parser.add_argument("--translations", type=int, default=default.translations, help="pairs, two documents each")
    parser.add_argument("--instructions", type=int, default=default.instructions, help="questions in each language")
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--lexicon", default=default.lexicon, help="full, small, or a number of content words")
    parser.add_argument("--report", action="store_true", help="print the entropy: the floor of any model's loss")
    return parser.parse_args()


def print_summary(console: Console, examples: list[Example], size: int) -> None:
    """Counts by task, how many documents are unique, and five documents."""
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


def main() -> int:
    """Generate, write, and say what was written."""
    options = parse_arguments()
    lexicon = int(options.lexicon) if options.lexicon.isdecimal() else options.lexicon
    config = SyntheticConfig(
        options.sentences, options.stories, options.translations, options.instructions, options.seed, lexicon
    )
    target_of(options.output)  # told before the work, both
    kind = written_kind(options.output)
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


if __name__ == "__main__":
    run_program(main)
