"""How many targets of a run count (`data.loss_on`), before its first step."""

from dataclasses import dataclass

from lai.config.schema import RunConfig
from lai.data.prepare import Corpus
from lai.data.tokens.answers import Answers, TargetCounts, count_targets
from lai.host.errors import UserError


@dataclass(frozen=True)
class Counting:
    """The targets of both splits that count."""

    train: TargetCounts
    val: TargetCounts

    def line(self) -> str:
        """What the run's start says of them."""
        return (
            f"answers: {self.train.share:.1%} of {self.train.targets:,} targets count, "
            f"{self.val.share:.1%} of {self.val.targets:,} in validation (data.loss_on=answers)"
        )


def answers_of(run: RunConfig, corpus: Corpus) -> Answers | None:
    """By which the targets that count are found; None where all count."""
    return Answers.of(corpus.vocab) if run.data.loss_on == "answers" else None


def counting_of(run: RunConfig, corpus: Corpus) -> Counting | None:
    """The targets that count; None where all do.

    Raises:
        UserError: no target counts in a split that the run uses.
    """
    if (answers := answers_of(run, corpus)) is None:
        return None
    files = corpus.token_files
    found = Counting(count_targets(files.train, answers), count_targets(files.val, answers))
    if not found.train.counting:
        raise UserError(_nothing("to train on", found.train))
    if not found.val.counting and run.trainer.get("limit_val_batches") != 0:
        raise UserError(_nothing("to validate with", found.val) + ", or trainer.limit_val_batches=0")
    return found


def _nothing(use: str, counts: TargetCounts) -> str:
    return (
        f"data.loss_on=answers: none of the {counts.targets:,} targets {use} counts, because all documents are turns "
        "without an answer; expected <assistant>…</assistant> or plain text; give such data, or data.loss_on=all"
    )
