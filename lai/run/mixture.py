"""What each source of a mixture gives to a run, before its first step."""

import math
from collections.abc import Iterator

import lightning

from lai.data.datamodule import CorpusDataModule
from lai.data.tokens.mixing import MixedPacking

_LESS = 0.99  # of its weight: a source that gets less is told


def plan(datamodule: CorpusDataModule, trainer: lightning.Trainer) -> MixedPacking | None:
    """The order of the training rows; None without a mixture. A run without limits ends where its sources end.

    Raises:
        UserError: the run is longer than the sources may be read.
    """
    if datamodule.mixed is None:
        return None
    mixed = datamodule.mixed.packing(trainer)
    if mixed.length.epochs == math.inf and mixed.epochs < math.inf:
        trainer.fit_loop.max_epochs = int(mixed.epochs)
    return mixed


def lines(mixed: MixedPacking | None) -> Iterator[str]:
    """A line a source: its tokens, passes and share, planned for the whole run."""
    if mixed is None:
        return
    has_end = mixed.length.epochs < math.inf
    for number, source in enumerate(planned := mixed.planned()):
        most = "" if source.most == math.inf else f", at most {source.most:g}"
        is_short = source.share < _LESS * source.weight
        yield (
            f"{'' if number else 'mixture':<12}{source.name}: {source.share:.1%} of the tokens"
            f"{f' (its weight is {source.weight:.1%}; max_epochs allows no more)' if is_short else ''}, "
            f"{source.predictions:,.0f}{'' if has_end else ' an epoch'}; read {source.passes:.2f} times{most}"
        )
    if not has_end and mixed.epochs < math.inf:
        total = sum(source.predictions for source in planned)
        yield f"{'':<12}max_epochs ends the run after {mixed.epochs:g} epochs of {total:,.0f} tokens"
