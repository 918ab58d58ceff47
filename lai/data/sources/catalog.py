"""The real data sets that LAi knows by name: pinned to a revision, with their licences and usual sizes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from lai.data.sources.hub import HubSource
from lai.host.errors import UserError


@dataclass(frozen=True)
class KnownSet:
    """A data set, with what anyone must know who shares its text or a model trained on it."""

    source: HubSource
    licence: str
    url: str
    rows: Mapping[str, int]
    """Rows by size; a row of translations gives two documents, one for each direction."""


KNOWN_SETS: dict[str, KnownSet] = {
    "hu_wiki": KnownSet(
        HubSource(
            "wikimedia/wikipedia",
            "20231101.hu",
            revision="b04c8d1ceb2f5cd4588862100d08de323dccfbaa",
            clean="article",
            template="{title}\n\n{text}",
        ),
        licence="CC BY-SA 3.0 and GFDL",
        url="https://huggingface.co/datasets/wikimedia/wikipedia",
        rows={"tiny": 1_000, "small": 5_000, "medium": 25_000, "large": 100_000},
    ),
    "en_stories": KnownSet(
        HubSource("roneneldan/TinyStories", revision="f54c09fd23315a6f9c86f9dc80f725de7d8f9c64", clean="story"),
        licence="CDLA-Sharing-1.0",
        url="https://huggingface.co/datasets/roneneldan/TinyStories",
        rows={"tiny": 4_000, "small": 20_000, "medium": 100_000, "large": 400_000},
    ),
    "translations": KnownSet(
        HubSource(
            "Helsinki-NLP/opus-100",
            "en-hu",
            revision="805090dc28bf78897da9641cdf08b61287580df9",
            clean="pair",
        ),
        licence="those of the corpora in OPUS (https://opus.nlpl.eu); the data set names none of its own",
        url="https://huggingface.co/datasets/Helsinki-NLP/opus-100",
        rows={"tiny": 1_000, "small": 5_000, "medium": 25_000, "large": 200_000},
    ),
}
SIZES = ("tiny", "small", "medium", "large")


def choose_sets(size: str, rows: Mapping[str, int | None]) -> dict[str, HubSource]:
    """The data sets with their limits: the size's, replaced by the numbers in `rows`; 0 leaves a data set out.

    Raises:
        UserError: there is no such size or data set, a number is negative, or all are 0.
    """
    if size not in SIZES:
        raise UserError(f"the size is {size!r}; it must be one of {', '.join(SIZES)}")
    for name, number in rows.items():
        if name not in KNOWN_SETS:
            raise UserError(f"there is no data set {name!r}; the known ones are {', '.join(KNOWN_SETS)}")
        if number is not None and number < 0:
            raise UserError(f"{name} is {number}; it must be a number of rows, 0 for none")
    chosen = {}
    for name, known in KNOWN_SETS.items():
        asked = rows.get(name)
        limit = known.rows[size] if asked is None else asked
        if limit:
            chosen[name] = replace(known.source, limit=limit)
    if not chosen:
        raise UserError(f"{', '.join(KNOWN_SETS)} are all 0; ask for some rows")
    return chosen
