"""The sources of a mixture: the settings of each, and their token files and reports as of one text."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, fields, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from lai.config.schema import HubSettings, SyntheticSettings
from lai.data.quality.findings import MIN_DOCUMENTS
from lai.data.quality.report import Quality
from lai.data.tokens.build import TokenFiles
from lai.data.tokens.joined import JoinedTokens
from lai.data.tokens.splits import CorpusStats, SplitStats
from lai.host.errors import UserError

if TYPE_CHECKING:
    from lai.config.schema import DataSettings, SourceSettings

_OF_DATA = ("bad_rows", "max_unpacked", "clean", "licence")  # what a source without its own has from `data`
_OF_MIXING = ("weight", "max_epochs", "language")


@contextmanager
def naming(name: str | None) -> Iterator[None]:
    """Let the line of a mistake begin with the source that it is in; None: there are no sources.

    Raises:
        UserError: what was raised within.
    """
    try:
        yield
    except UserError as error:
        if name is None:
            raise
        raise UserError(f"data.sources.{name}: {error}") from error.__cause__


def settings_of(data: "DataSettings", source: "SourceSettings") -> "DataSettings":
    """The `data` settings of one source, as if it were the run's only text."""
    own: dict[str, Any] = {
        item.name: getattr(source, item.name) for item in fields(source) if item.name not in _OF_MIXING
    }
    own |= {name: getattr(data, name) for name in _OF_DATA if own[name] is None}
    fetched = source.source or ("hub" if source.hub is not None else "synthetic")
    kind = fetched if source.path is None else "files"
    own |= {"source": kind, "sources": None, "max_epochs": None}
    if kind == "synthetic":
        own["synthetic"] = source.synthetic or SyntheticSettings()
    if kind == "hub":
        own["hub"] = source.hub or HubSettings()
    return replace(data, **own)


def joined_token_files(parts: Sequence[TokenFiles]) -> TokenFiles:
    """The token files of several sources as those of one text, in their order."""
    return TokenFiles(
        parts[0].folder.parent,
        JoinedTokens([part.train for part in parts]),
        JoinedTokens([part.val for part in parts]),
        CorpusStats(_sum([part.stats.train for part in parts]), _sum([part.stats.val for part in parts])),
        {name: sha256("".join(part.digests[name] for part in parts).encode()).hexdigest() for name in ("train", "val")},
        [source for part in parts for source in part.sources],
        [source for part in parts for source in part.val_sources],
    )


def _sum(parts: Sequence[SplitStats]) -> SplitStats:
    documents, tokens, size, turns = zip(*map(astuple, parts), strict=True)
    return SplitStats(sum(documents), sum(tokens), sum(size), max(turns))


def joined_quality(parts: Mapping[str, Quality]) -> Quality:
    """The reports on several sources as one; documents of one source are not looked for in another.

    Facts are added up. Findings name their source, and a source may have few documents where all have enough.
    """
    facts: dict[str, Any] = {
        name: sum(part.facts[name] for part in parts.values())
        for name in ("documents", "bytes", "duplicates", "skipped", "empty")
    }
    facts["formats"] = dict(sum((Counter(part.facts["formats"]) for part in parts.values()), Counter()))
    for name, size in (("tasks", "documents"), ("languages", "bytes")):
        found: Counter[str] = Counter()
        for part in parts.values():
            for key, share in part.facts[name].items():
                found[key] += share * part.facts[size] / max(1, facts[size])
        facts[name] = dict(found.most_common())
    enough = facts["documents"] >= MIN_DOCUMENTS
    findings = [
        replace(finding, check=f"{name}: {finding.check}")
        for name, part in parts.items()
        for finding in part.findings
        if not (finding.check == "vocabulary" or (enough and finding.check == "documents"))
    ]
    return Quality(facts, findings, [])
