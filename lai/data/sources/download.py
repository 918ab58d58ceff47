"""Known data sets of the hub to one text file, with a record of where its text is from.

`NAME.sources.json` beside the file names each data set, its licence and its number of rows. Data sets that are fetched
wait in `.NAME.parts` until all of them are there; a call that is interrupted resumes with them.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

from filelock import FileLock

from lai.data.cache import fingerprint
from lai.data.sources.catalog import KNOWN_SETS
from lai.data.sources.files import read_documents
from lai.data.sources.hub import Fetched, HubSource, fetch
from lai.data.sources.serialize import lines, output_kind
from lai.host.files import atomic_write, file_digest, read_json, target_of

Tell = Callable[[str], None]
"""Shows a line to a person."""


def download(output: Path, sources: Mapping[str, HubSource], tell: Tell) -> None:
    """Fetch the data sets and write them as one file, unless an earlier call wrote just that.

    Args:
        output: the file, `.txt` or `.jsonl`.
        sources: data sets of the catalog by name, with their limits.

    Raises:
        UserError: `output` cannot be written, or a data set cannot be fetched; what was fetched is kept.
    """
    target_of(output)  # A wrong name is refused before the work, and so is a wrong ending.
    output_kind(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(output.with_name(f".{output.name}.lock")):  # Another process may be writing the same file.
        _download(output, sources, tell)


def _download(output: Path, sources: Mapping[str, HubSource], tell: Tell) -> None:
    record = output.with_name(output.name + ".sources.json")
    entries = [_described(source, name) for name, source in sources.items()]
    folder = output.with_name(f".{output.name}.parts")
    if _is_there(output, record, entries):
        shutil.rmtree(folder, ignore_errors=True)
        tell(f"{output} holds these data sets already; nothing to fetch")
        return
    try:
        parts = _fetch_all(sources, folder, tell)
    finally:
        with suppress(OSError):
            folder.rmdir()  # It is empty where nothing was fetched.
    written, left_out = _join(output, parts, record, entries)
    shutil.rmtree(folder)
    tell(f"{output}: {written:,} documents; their sources: {record}")
    if left_out:
        tell(f"{left_out:,} documents that look like chat markup are left out; .jsonl keeps them")


def _described(source: HubSource, name: str) -> dict[str, Any]:
    """What the record says of a data set."""
    known = KNOWN_SETS[name]
    made = {"licence": known.licence, "url": known.url, "fingerprint": fingerprint(source.identity())}
    return {"data set": name, **asdict(source), **made}


def _is_there(output: Path, record: Path, sources: list[dict[str, Any]]) -> bool:
    """Whether an earlier call wrote the same data sets, and nothing changed the file since."""
    try:
        saved = read_json(record)
        asked = [{key: entry[key] for key in sources[0]} for entry in saved["sources"]]
        return asked == sources and saved["sha256"] == file_digest(output)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _fetch_all(sources: Mapping[str, HubSource], folder: Path, tell: Tell) -> list[Path]:
    """Fetch each data set into a file of its own, unless an interrupted call fetched it before."""
    parts = []
    for name, source in sources.items():
        parts.append(folder / f"{name}-{fingerprint(source.identity())}.jsonl")
        tell(f"{name}: {source.limit:,} rows of {source.name}, {KNOWN_SETS[name].licence}")
        if not parts[-1].exists():
            tell(_outcome(fetch(source, parts[-1]), source))
    return parts


def _outcome(done: Fetched, source: HubSource) -> str:
    line = f"  {done.documents:,} documents, {done.dropped:,} rows dropped by cleaning"
    return line if done.rows == source.limit else f"{line}; the data set has no more than {done.rows:,} such rows"


def _join(output: Path, parts: list[Path], record: Path, entries: list[dict[str, Any]]) -> tuple[int, int]:
    """Write all parts as one file, and its record.

    Returns:
        The numbers of documents that were written and that were left out.
    """
    written = left_out = 0
    with atomic_write(output) as file:
        for line in lines(chain.from_iterable(map(read_documents, parts)), output_kind(output)):
            if line is None:
                left_out += 1
            else:
                file.write(line)
                written += 1
    with atomic_write(record) as file:
        facts = {"file": output.name, "sha256": file_digest(output), "documents": written, "sources": entries}
        file.write(json.dumps(facts, indent=1, ensure_ascii=False).encode() + b"\n")
    return written, left_out
