"""Where the text of a run comes from: each file's name, size, digest and licence."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lai.data.prepare import Corpus
from lai.data.tokens.build import TokenFiles
from lai.host.files import read_json

if TYPE_CHECKING:
    from lai.config.schema import DataSettings

_GENERATED = "Apache-2.0, as LAi, whose generator has written it"


def origins(data: "DataSettings", corpus: Corpus) -> dict[str, Any]:
    """The files that a run trains on and validates with, for its manifest.

    Returns:
        `data` and `validation`, each a list of {name, bytes, sha256, licence, …}; an empty `validation` is a share of
        `data`, chosen by content. In a mixture each names its `source`.
    """
    if corpus.sources:
        return _of_sources(corpus)
    return _of_text(data, corpus.files, corpus.val_files, corpus.token_files)


def _of_sources(corpus: Corpus) -> dict[str, Any]:
    """The entries of each source with its name, and in `data` its weight; null: by its size."""
    found: dict[str, list[dict[str, Any]]] = {"data": [], "validation": []}
    for source in corpus.sources:
        own = _of_text(source.settings, source.files, source.val_files, source.token_files)
        found["data"] += [{"source": source.name, "weight": source.weight, **entry} for entry in own["data"]]
        found["validation"] += [{"source": source.name, **entry} for entry in own["validation"]]
    return found


def _of_text(
    data: "DataSettings", files: Sequence[Path], val_files: Sequence[Path], token_files: TokenFiles
) -> dict[str, list[dict[str, Any]]]:
    known = list(_known_sets(data))
    entries = list(_entries(files, token_files.sources, data.licence))
    if data.path is None:
        for place, entry in enumerate(entries):
            entry |= known[place] if place < len(known) else {"licence": _GENERATED}
    validation = list(_entries(val_files, token_files.val_sources, data.licence))
    if data.path is None and data.val_path is None:
        for entry in validation:
            entry["licence"] = _GENERATED
    return {"data": entries, "validation": validation}


def _entries(files: Sequence[Path], sources: Sequence[dict[str, Any]], licence: str | None) -> Iterator[dict[str, Any]]:
    for file, source in zip(files, sources, strict=True):
        entry = {"name": file.name, "bytes": source["size"], "sha256": source["sha256"]}
        yield entry | _recorded(file, source["sha256"]) | ({} if licence is None else {"licence": licence})


def _recorded(file: Path, digest: str) -> dict[str, Any]:
    """What `lai-download-data` has recorded beside the file, if the file has not changed since."""
    try:
        saved = read_json(file.with_name(f"{file.name}.sources.json"))
        sets = [{key: entry[key] for key in ("data set", "url", "revision", "licence")} for entry in saved["sources"]]
        is_of_this_text = saved["sha256"] == digest
    except (ValueError, KeyError, TypeError):
        is_of_this_text = False
    if not is_of_this_text:
        return {"licence": None}
    return {"licence": "; ".join(dict.fromkeys(str(entry["licence"]) for entry in sets)), "sources": sets}


def _known_sets(data: "DataSettings") -> Iterator[dict[str, Any]]:
    """What is known of the data sets of the hub, in the order of their files."""
    if data.path is not None or data.source != "hub" or data.hub is None:
        return
    from lai.data.sources.catalog import KNOWN_SETS, choose_sets

    if data.hub.name is not None:
        yield {"data set": data.hub.name, "revision": data.hub.revision, "licence": data.licence}
        return
    for name, source in choose_sets(data.hub.size, data.hub.rows or {}).items():
        known = KNOWN_SETS[name]
        yield {"data set": source.name, "revision": source.revision, "licence": known.licence, "url": known.url}
