"""`python scripts/evaluate.py -m MODEL [SETTING …]`: how many held-out prompts a model answers exactly right."""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from lai.config import compose_run
from lai.data.synthetic import Prompt, SyntheticConfig, draw, held_out_prompts
from lai.errors import UserError, run_program, whole_number
from lai.evaluation import (
    TaskLoss,
    answers_of_engine,
    answers_of_pytorch,
    read_prompts,
    scores,
    task_losses,
    write_prompts,
)
from lai.export.model_file import ModelFile, read_model
from lai.files import target_of

Answers = dict[str, list[bytes]]
"""The answers to all prompts, by the program that gave them."""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="SETTINGs are those that the model was trained with, as for lai.train: experiment=quickstart, or "
        "data.synthetic.lexicon=small. They say which combinations of words the training text never had.",
    )
    parser.add_argument("settings", nargs="*", metavar="SETTING", help="settings of lai.train")
    parser.add_argument("-m", "--model", type=Path, default="models/lai-tiny.bin", help="(default: %(default)s)")
    parser.add_argument(
        "--limit", type=whole_number(1), help="prompts at most (default: 400, or all of a test set of your own)"
    )
    parser.add_argument(
        "--prompts", type=Path, metavar="FILE", help="a test set of your own, .jsonl: prompt and answer"
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the prompts and their right answers, .jsonl")
    parser.add_argument("--engine", type=Path, default="build/lai", help="the C++ engine (default: %(default)s)")
    parser.add_argument("--only", choices=("pytorch", "engine"), help="answer with one of the two programs")
    parser.add_argument("--tokens", type=whole_number(1), default=128, help="the longest answer (default: %(default)s)")
    parser.add_argument(
        "--wrong", type=whole_number(0), default=5, help="show so many wrong answers (default: %(default)s)"
    )
    parser.add_argument(
        "--losses",
        type=whole_number(1),
        metavar="N",
        help="also tell what N newly generated documents cost above the generator's floor, by task",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    return parser.parse_intermixed_args()


def generator(settings: Sequence[str], needed_for: str) -> SyntheticConfig:
    """The generator that these settings describe."""
    synthetic = compose_run(settings).data.synthetic
    if synthetic is None:
        raise UserError(f"only data=synthetic has {needed_for}")
    return SyntheticConfig.from_settings(asdict(synthetic))


def held_out(settings: Sequence[str], limit: int) -> list[Prompt]:
    """The held-out prompts of the generator that these settings describe."""
    config = generator(settings, "held-out prompts; give a test set of your own: --prompts FILE")
    prompts = held_out_prompts(config, limit)
    if not prompts:
        raise UserError("text with these settings has neither translations nor questions that could be held out")
    return prompts


def answer(options: argparse.Namespace, model: ModelFile, prompts: list[Prompt]) -> Answers:
    """All answers of the programs that were asked for."""
    console = Console(stderr=True)

    def shown(program: str) -> Iterable[Prompt]:
        return track(
            prompts, f"answering in {program}", console=console, transient=True, disable=not console.is_terminal
        )

    answers: Answers = {}
    if options.only != "engine":
        answers["pytorch"] = list(answers_of_pytorch(model.build(), model.vocab, shown("pytorch"), options.tokens))
    if options.only != "pytorch":
        answers["engine"] = list(answers_of_engine(options.engine, options.model, shown("engine"), options.tokens))
    return answers


def disagreements(prompts: list[Prompt], answers: Answers) -> list[Prompt]:
    """The prompts that the programs answered in different ways."""
    return [prompt for prompt, *given in zip(prompts, *answers.values(), strict=True) if len(set(given)) > 1]


def print_tables(prompts: list[Prompt], answers: Answers, wrong: int) -> None:
    """Exact matches by task and direction, and some wrong answers."""
    console = Console(highlight=False, soft_wrap=True)
    table = Table("task", "direction", "prompts", *answers)
    by_program = [scores(prompts, given) for given in answers.values()]
    for rows in zip(*by_program, strict=True):
        shares = (f"{row.exact / row.prompts:.1%}" for row in rows)
        table.add_row(escape(rows[0].task), escape(rows[0].direction), f"{rows[0].prompts:,}", *shares)
    console.print(table)
    program, given = next(iter(answers.items()))
    mistakes = [(prompt, said) for prompt, said in zip(prompts, given, strict=True) if said != prompt.answer]
    if mistakes and wrong:
        console.print(f"wrong in {program}, {min(wrong, len(mistakes))} of {len(mistakes):,}:")
    for prompt, said in mistakes[:wrong]:
        console.print(escape(f"  {prompt.prompt.decode()}\n    expected  {prompt.answer.decode()}"))
        console.print(escape(f"    answered  {said.decode(errors='replace')}"))


def print_losses(losses: list[TaskLoss]) -> None:
    """What each task costs above the floor, and its part of what all of them cost above it."""
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


def main() -> int:
    """Answer, score, and fail where PyTorch and the engine disagree."""
    options = parse_arguments()
    if options.prompts:
        prompts = read_prompts(options.prompts)[: options.limit]
    else:
        prompts = held_out(options.settings, options.limit or 400)
    if options.write:
        target_of(options.write, b"{")  # other prompts may be replaced, a model not
        write_prompts(options.write, prompts)
    model = read_model(options.model)
    losses: list[TaskLoss] = []
    if options.losses:
        config = generator(options.settings, "a floor: leave out --losses")
        seed = config.seed + 1  # not the documents that lai.train validates with, by which it chose the weights
        losses = task_losses(model.build(), model.vocab, list(draw(config, options.losses, seed)))
    answers = answer(options, model, prompts)
    different = disagreements(prompts, answers)
    if options.json:
        found = {program: [asdict(score) for score in scores(prompts, given)] for program, given in answers.items()}
        report = {"model": str(options.model), "scores": found, "disagreements": len(different)}
        print(json.dumps(report | {"losses": [asdict(row) for row in losses]}))
    else:
        print_tables(prompts, answers, options.wrong)
        if losses:
            print_losses(losses)
    if different:
        first = different[0].prompt.decode()
        print(
            f"error: PyTorch and the engine answer {len(different)} prompts differently, first: {first}",
            file=sys.stderr,
        )
    return 1 if different else 0


if __name__ == "__main__":
    run_program(main)
