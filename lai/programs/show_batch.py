"""Print a batch as the model sees it, by the settings of a run: tokens, targets that count, ends of documents."""

import argparse
from itertools import islice
from typing import Any

from rich.console import Console

from lai.config.compose import compose_run
from lai.data.batch_view import Row, TokenNames, plain_lines, print_coloured, rows_of, summary
from lai.data.prepare import Corpus, prepare_corpus
from lai.data.tokens.joined import predictions
from lai.export.vocab_file import load_vocab
from lai.host.cli import run_program, whole_number
from lai.host.errors import UserError
from lai.programs.arguments import argument_parser

_EPILOG = r"""Nothing is trained, and nothing is written except data.cache_dir. Tokens have two alternating colours.
Targets that count have a coloured ground; all others are dimmed. A token is the target of the one before it, so the
first token of a document in a row is none. The last target is shown only if it counts: else the model does not see it.
Control tokens and tags are shown by name, parts of a character as bytes (\xC5). Without a terminal, or with NO_COLOR, |
stands between tokens, and targets that count stand between « and »; these three have a \ before them in the text."""


def main() -> None:
    """The entry point of `lai-show-batch`."""
    run_program(_show_batch)


def _parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__, _EPILOG)
    parser.add_argument(
        "settings", nargs="*", metavar="KEY=VALUE", help="those of lai-train: experiment=quickstart data.batch_size=2"
    )
    parser.add_argument("--split", choices=("train", "val"), default="train", help="(default: %(default)s)")
    parser.add_argument(
        "--batch", type=whole_number(1), default=1, metavar="K", help="which batch of the first epoch (default: 1)"
    )
    parser.add_argument("--rows", type=whole_number(1), metavar="N", help="show the first N rows (default: all)")
    return parser.parse_intermixed_args()


def _show_batch() -> None:
    options = _parse_arguments()
    corpus, rows, n_batches = _rows(options)
    shown = rows[: options.rows]
    names = TokenNames(corpus.vocab)
    console = Console()
    title = f"{options.split} batch {options.batch:,} of {n_batches:,}"
    if len(shown) < len(rows):
        title += f", the first {len(shown)} of {len(rows)} rows"
    print(title)
    if console.is_terminal and console.color_system is not None and not console.no_color:
        print_coloured(shown, names, console)
    else:
        for line in plain_lines(shown, names):
            print(line)
    print(f"batch: {summary(rows)}")


def _rows(options: argparse.Namespace) -> tuple[Corpus, list[Row], int]:
    """The text, the rows of the batch that is asked for, and the number of batches."""
    from lai.run.build import build_datamodule
    from lai.run.follow import follow_initial
    from lai.run.initial import read_initial

    run = compose_run(options.settings, follow_initial)
    if run.data.batch_size == "auto":
        raise UserError(
            "data.batch_size=auto: the run chooses it by the free memory; give the number that its start lines name"
        )
    run.device.num_workers, run.device.pin_memory = 0, False
    initial = read_initial(run)
    corpus = prepare_corpus(run.data, initial.vocab_reader(load_vocab) if initial else load_vocab)
    module = build_datamodule(run, corpus)
    is_train = options.split == "train"
    loader = module.train_dataloader() if is_train else module.val_dataloader()
    file = corpus.token_files.train if is_train else corpus.token_files.val
    plan: Any = next(islice(loader.sampler, options.batch - 1, None), None)
    if plan is None:
        raise UserError(f"--batch {options.batch:,}: an epoch has {len(loader):,} batches; give a number up to that")
    rows = plan if isinstance(plan, list) else plan[1]  # of a mixture's validation: the group and its rows
    return corpus, rows_of(loader.dataset[plan], rows, predictions(file)), len(loader)


if __name__ == "__main__":
    main()
