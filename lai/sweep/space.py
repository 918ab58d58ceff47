"""The search space of a sweep: the command line that gives its jobs, kept in the ledger to resume it by."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from lai.config.hydra_errors import flags_of
from lai.host.errors import UserError
from lai.host.files import with_home
from lai.sweep.ledger import NAME, Ledger

# What a resumed sweep may change: it says how jobs are run, not which.
_FREE = re.compile(r"[+~]*(sweep\.(resume|retry_failed|max_failures)|hydra\.(launcher|sweep\.dir)|hydra/launcher)\b")
_RESUME = re.compile(r"\+*sweep\.resume=(.*)", re.DOTALL)


def space_of(arguments: Sequence[str]) -> list[str]:
    """The arguments that decide which jobs there are, in their order."""
    overrides = [argument for argument in arguments if re.match(r"[+~]*[\w./@]+", argument) and argument[0] != "-"]
    flags = flags_of(arguments)
    return [*flags, *(override for override in overrides if override not in flags and not _FREE.match(override))]


def of_the_job(overrides: Sequence[str]) -> tuple[str, ...]:
    """A job's overrides without those that a resumed sweep may change."""
    return tuple(override for override in overrides if not _FREE.match(override))


def check_space(ledger: Ledger, arguments: Sequence[str]) -> None:
    """Refuse a command line of other jobs than those of the ledger.

    Raises:
        UserError: it differs; the line says in what.
    """
    before, now = ledger.facts()["space"], space_of(arguments)
    if before == now:
        return
    ours = [word for word in now if word not in before]
    theirs = [word for word in before if word not in now]
    if ours or theirs:
        difference = f"{shlex.join(theirs) or 'nothing'} there, {shlex.join(ours) or 'nothing'} here"
    else:
        difference = "the same settings in another order, which numbers the jobs otherwise"
    folder = ledger.path.parent
    raise UserError(
        f"{folder} holds another sweep: {difference}; give this one a folder of its own, or resume that one: "
        f"-m sweep.resume={folder}"
    )


def resumed(arguments: Sequence[str]) -> list[str]:
    """The arguments; with `sweep.resume=FOLDER` among them, those of that sweep before the others.

    Raises:
        UserError: the folder is none of a sweep.
    """
    named = [match[1].strip("'\"") for argument in arguments if (match := _RESUME.fullmatch(argument))]
    if not named or named[-1] in ("", "null"):
        return list(arguments)
    folder = with_home(named[-1])
    ledger = Ledger(folder / NAME)
    if not ledger.exists():
        raise UserError(f"sweep.resume={named[-1]} has no {NAME}; expected the folder of a sweep")
    others = [word for word in arguments if not _RESUME.fullmatch(word) and word not in ("-m", "--multirun")]
    given = {word.lstrip("+").partition("=")[0] for word in others if _FREE.match(word)}
    kept = [word for word in ledger.facts()["arguments"] if word.lstrip("+").partition("=")[0] not in given]
    return ["-m", *kept, *others, f"hydra.sweep.dir={quoted(str(folder))}"]


def to_keep(arguments: Sequence[str]) -> list[str]:
    """The arguments that resume a sweep, without its folder and what is for one start only."""
    once = re.compile(r"[+~]*(hydra\.sweep\.dir|sweep\.(resume|retry_failed))\b")
    flags = ("-m", "--multirun")
    return [word for word in arguments if word not in flags and not once.match(word)]


def quoted(text: str) -> str:
    """A text as a value on Hydra's command line."""
    if re.fullmatch(r"[\w./+:-]*[\w/]", text, re.ASCII):
        return text
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def resume_command(folder: Path) -> str:
    """What resumes the sweep of a folder."""
    return shlex.join(["python", "-m", "lai.train", "-m", f"sweep.resume={quoted(str(folder))}"])
