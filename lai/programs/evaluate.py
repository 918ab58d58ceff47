"""Count how many held-out prompts a model answers exactly right, in PyTorch and in the engine.

A model of generated conversations is also asked question by question, and its answers are counted by turn.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from lai.config.compose import compose_run
from lai.data.synthetic import Prompt, SyntheticConfig, draw, held_out_conversations, held_out_prompts
from lai.export.lai_file import ModelFile, read_model
from lai.host.cli import run_program, whole_number
from lai.host.console import printable
from lai.host.errors import UserError
from lai.host.files import target_of
from lai.inference.by_turn import TurnScore, conversations_of_engine, conversations_of_pytorch, turn_scores
from lai.inference.evaluate import (
    TaskLoss,
    answers_of_engine,
    answers_of_pytorch,
    is_right,
    read_prompts,
    scores,
    task_losses,
    write_prompts,
)
from lai.programs.arguments import argument_parser
from lai.run.follow import follow_initial

Answers = dict[str, list[bytes]]
"""The answers to all prompts, by the program that gave them."""

_SECONDS_BETWEEN_LINES = 10


def main() -> None:
    """The entry point of `lai-evaluate`."""
    run_program(_evaluate)


def _parse_arguments() -> argparse.Namespace:
    parser = argument_parser(
        __doc__,
        "SETTINGs are those that the model was trained with, as for lai-train: experiment=quickstart, or "
        "data.synthetic.lexicon=small. They determine which combinations of words are held out of the training text. "
        "After Ctrl-C the scores of the prompts answered so far are shown. "
        "Exit code 0: done; 1: PyTorch and the engine differ; 130: Ctrl-C.",
    )
    parser.add_argument("settings", nargs="*", metavar="SETTING", help="settings of lai-train")
    parser.add_argument(
        "-m", "--model", type=Path, default="models/lai-tiny.bin", help="the model file (default: %(default)s)"
    )
    parser.add_argument(
        "--limit", type=whole_number(1), help="prompts at most (default: 400, or all of your own test set)"
    )
    parser.add_argument(
        "--prompts", type=Path, metavar="FILE", help="your own test set, .jsonl: prompt and answer, or messages"
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the prompts and their right answers, .jsonl")
    parser.add_argument("--engine", type=Path, default="build/lai", help="the C++ engine (default: %(default)s)")
    parser.add_argument("--only", choices=("pytorch", "engine"), help="answer with one of the two")
    parser.add_argument(
        "--tokens",
        type=whole_number(1),
        default=128,
        help="tokens of an answer at most; an answer longer than the right one is cut off (default: %(default)s)",
    )
    parser.add_argument(
        "--wrong", type=whole_number(0), default=5, help="show this many wrong answers (default: %(default)s)"
    )
    parser.add_argument(
        "--losses",
        type=whole_number(1),
        metavar="N",
        help="also show the loss on N newly generated documents above the generator's own, by task",
    )
    parser.add_argument(
        "--conversations",
        type=whole_number(0),
        default=50,
        metavar="N",
        help="conversations to ask a model that the SETTINGs train on conversations (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    return parser.parse_intermixed_args()


def _evaluate() -> int:
    options = _parse_arguments()
    prompts = _prompts(options)
    model = read_model(options.model)
    losses = _losses(options, model)
    answers = answer(options, model, prompts)
    total, prompts = len(prompts), prompts[: len(next(iter(answers.values())))]
    interrupted = len(prompts) < total
    if interrupted:
        print(f"interrupted: scores of the first {len(prompts):,} of {total:,} prompts", file=sys.stderr)
    different = [prompt.prompt for prompt in disagreements(prompts, answers)]
    turns: dict[str, list[TurnScore]] = {}
    if not interrupted:
        try:
            turns, differing = by_turn(options, model)
            different += differing
        except KeyboardInterrupt:
            interrupted = True
            print("interrupted: no scores by turn", file=sys.stderr)
    if options.json:
        report = {
            "model": str(options.model),
            "scores": {name: [asdict(score) for score in scores(prompts, given)] for name, given in answers.items()},
            "disagreements": len(different),
            "prompts": total,
            "answered": len(prompts),
            "losses": [asdict(row) for row in losses],
            "turns": {name: [asdict(score) for score in found] for name, found in turns.items()},
        }
        print(json.dumps(report))
    else:
        print_tables(prompts, answers, options.wrong)
        if turns:
            print_turns(turns)
        if losses:
            print_losses(losses)
    if different:
        first = printable(different[0].decode(), sys.stderr)
        count = len(different)
        print(f"error: PyTorch and the engine answer {count} prompts differently, first: {first}", file=sys.stderr)
    if interrupted:
        return 130
    return 1 if different else 0


def _prompts(options: argparse.Namespace) -> list[Prompt]:
    """The test set of the command line, also written where that is asked for."""
    if options.prompts:
        prompts = read_prompts(options.prompts)[: options.limit]
    else:
        prompts = held_out(options.settings, options.limit or 400)
    if options.write:
        target_of(options.write, b"{")  # Other prompts may be replaced, a model may not.
        write_prompts(options.write, prompts)
    return prompts


def _losses(options: argparse.Namespace, model: ModelFile) -> list[TaskLoss]:
    """The losses by task; none without `--losses`."""
    if not options.losses:
        return []
    config = generator(options.settings, "a floor: leave out --losses")
    seed = config.seed + 1  # The documents of `config.seed` are what training validates with, and chose the weights by.
    return task_losses(model.build(), model.vocab, list(draw(config, options.losses, seed)))


def generator(settings: Sequence[str], needed_for: str) -> SyntheticConfig:
    """The generator that these settings describe."""
    synthetic = compose_run(settings, follow_initial).data.synthetic
    if synthetic is None:
        raise UserError(f"only data=synthetic has {needed_for}")
    return SyntheticConfig(**asdict(synthetic))


def held_out(settings: Sequence[str], limit: int) -> list[Prompt]:
    """The held-out prompts of the generator that these settings describe."""
    config = generator(settings, "held-out prompts; give a test set of your own: --prompts FILE")
    prompts = held_out_prompts(config, limit)
    if not prompts:
        raise UserError("text with these settings has neither translations nor questions that could be held out")
    return prompts


def answer(options: argparse.Namespace, model: ModelFile, prompts: list[Prompt]) -> Answers:
    """The answers to all prompts, by each program that was asked for; after Ctrl-C those to the first prompts.

    Raises:
        KeyboardInterrupt: Ctrl-C came before the first answer.
    """
    programs: dict[str, Iterator[bytes]] = {}
    if options.only != "engine":
        fold = not model.training.unfolded
        programs["pytorch"] = answers_of_pytorch(model.build(), model.vocab, prompts, options.tokens, fold)
    if options.only != "pytorch":
        programs["engine"] = answers_of_engine(options.engine, options.model, prompts, options.tokens)
    answers: Answers = {program: [] for program in programs}
    given: list[tuple[bytes, ...]] = []
    try:
        with progress(len(prompts)) as show:
            for said in zip(*programs.values(), strict=True):
                given.append(said)
                show(len(given))
    except KeyboardInterrupt:
        if not given:
            raise
    for said in given:
        for program, one in zip(programs, said, strict=True):
            answers[program].append(one)
    return answers


@contextmanager
def progress(total: int) -> Iterator[Callable[[int], None]]:
    """A function that shows how many prompts are answered: a bar on a terminal, a line every ten seconds elsewhere."""
    console = Console(stderr=True)
    if console.is_terminal:
        columns = (
            TextColumn("answering"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("", total=total)
            yield lambda done: bar.update(task, completed=done)
        return
    begun = told = time.monotonic()

    def tell(done: int) -> None:
        nonlocal told
        if (now := time.monotonic()) - told >= _SECONDS_BETWEEN_LINES:
            told = now
            print(f"answered {done:,} of {total:,} prompts after {now - begun:.0f} s", file=sys.stderr, flush=True)

    yield tell


def by_turn(options: argparse.Namespace, model: ModelFile) -> tuple[dict[str, list[TurnScore]], list[bytes]]:
    """The scores by turn of each program, and the first question of each conversation that they answer differently.

    Both are empty for a test set of one's own, and for settings without conversations.
    """
    if options.prompts or not options.conversations:
        return {}, []
    config = generator(options.settings, "conversations: give --conversations 0")
    if not config.conversations:
        return {}, []
    conversations = held_out_conversations(config, options.conversations)
    answers: dict[str, list[list[bytes]]] = {}
    if options.only != "engine":
        answers["pytorch"] = list(
            conversations_of_pytorch(model.build(), model.vocab, model.training, conversations, options.tokens)
        )
    if options.only != "pytorch":
        found = conversations_of_engine(options.engine, options.model, conversations, options.tokens)
        answers["engine"] = list(found)
    differing = [
        next(turn.content for turn in conversation if turn.role == "user")
        for conversation, *given in zip(conversations, *answers.values(), strict=True)
        if any(one != given[0] for one in given)
    ]
    return {program: turn_scores(conversations, given) for program, given in answers.items()}, differing


def print_turns(turns: dict[str, list[TurnScore]]) -> None:
    """Print the share of exact answers by turn."""
    table = Table("turn", "conversations", *turns, title="conversations with held-out translations")
    for rows in zip(*turns.values(), strict=True):
        shares = (f"{row.exact / row.conversations:.1%}" for row in rows)
        table.add_row(str(rows[0].turn), f"{rows[0].conversations:,}", *shares)
    Console(highlight=False).print(table)


def disagreements(prompts: list[Prompt], answers: Answers) -> list[Prompt]:
    """The prompts that the programs answered differently."""
    return [prompt for prompt, *given in zip(prompts, *answers.values(), strict=True) if len(set(given)) > 1]


def print_tables(prompts: list[Prompt], answers: Answers, wrong: int) -> None:
    """Print the share of exact answers by task and direction, and some wrong answers."""
    console = Console(highlight=False, soft_wrap=True)
    table = Table("task", "direction", "prompts", *answers)
    by_program = [scores(prompts, given) for given in answers.values()]
    for rows in zip(*by_program, strict=True):
        shares = (f"{row.exact / row.prompts:.1%}" for row in rows)
        table.add_row(escape(rows[0].task), escape(rows[0].direction), f"{rows[0].prompts:,}", *shares)
    console.print(table)
    program, given = next(iter(answers.items()))
    mistakes = [
        (prompt, said) for prompt, said in zip(prompts, given, strict=True) if not is_right(prompt.answer, said)
    ]
    if mistakes and wrong:
        console.print(f"wrong in {program}, {min(wrong, len(mistakes))} of {len(mistakes):,}:")
    for prompt, said in mistakes[:wrong]:
        console.print(escape(printable(f"  {prompt.prompt.decode()}\n    expected  {prompt.answer.decode()}")))
        console.print(escape(printable(f"    answered  {said.decode(errors='replace')}")))


def print_losses(losses: list[TaskLoss]) -> None:
    """Print the loss of each task, the generator's, and the difference as a share of the generator's total."""
    floor = sum(row.documents * row.floor for row in losses)
    table = Table("task", "documents", "nats each", "the generator's", "above", title="what is left to learn")
    for row in losses:
        above = row.documents * (row.loss - row.floor) / floor
        table.add_row(row.task, f"{row.documents:,}", f"{row.loss:.2f}", f"{row.floor:.2f}", f"{above:.2%} of all")
    total = sum(row.documents * row.loss for row in losses)
    documents = sum(row.documents for row in losses)
    table.add_row(
        "all", f"{documents:,}", f"{total / documents:.2f}", f"{floor / documents:.2f}", f"{total / floor - 1:.2%}"
    )
    Console(highlight=False).print(table)


if __name__ == "__main__":
    main()
