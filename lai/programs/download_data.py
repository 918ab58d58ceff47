"""`python scripts/download_data.py --output data/train.txt --size small`: fetch real Hungarian and English text."""

import argparse
import json
import shutil
from contextlib import suppress
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

from filelock import FileLock
from rich.console import Console

from lai.data.cache import fingerprint
from lai.data.sources.catalog import KNOWN_SETS, SIZES, choose_sets
from lai.data.sources.files import read_documents
from lai.data.sources.hub import Fetched, HubSource, fetch
from lai.data.sources.writing import lines, written_kind
from lai.host.cli import run_program, whole_number
from lai.host.files import atomic_write, file_digest, target_of


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="A run that was broken off goes on where it was. In .txt a line's end inside a document is written as "
        "U+2028, which every program of LAi reads as such; .jsonl holds it as it is.",
    )
    parser.add_argument("--output", type=Path, required=True, help="the file to write, .txt or .jsonl")
    parser.add_argument("--size", choices=SIZES, default="small", help="(default: %(default)s)")
    for name, known in KNOWN_SETS.items():
        sizes = ", ".join(f"{size} {rows:,}" for size, rows in known.rows.items())
        parser.add_argument(f"--{name}", type=whole_number(0), metavar="ROWS", help=f"of {known.source.name}: {sizes}")
    return parser.parse_args()


def described(source: HubSource, name: str) -> dict[str, Any]:
    """What says where text came from, and under which licence."""
    known = KNOWN_SETS[name]
    made = {"licence": known.licence, "url": known.url, "fingerprint": fingerprint(source.identity())}
    return {"data set": name, **asdict(source), **made}


def is_there(output: Path, record: Path, sources: list[dict[str, Any]]) -> bool:
    """Whether an earlier call wrote just this."""
    try:
        saved = json.loads(record.read_bytes())
        asked = [{key: entry[key] for key in sources[0]} for entry in saved["sources"]]
        return asked == sources and saved["sha256"] == file_digest(output)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def join(output: Path, parts: list[Path], record: Path, entries: list[dict[str, Any]]) -> dict[str, int]:
    """Write all parts as one file, and beside it what it is made of."""
    written = left_out = 0
    with atomic_write(output) as file:
        for line in lines(chain.from_iterable(map(read_documents, parts)), written_kind(output)):
            if line is None:
                left_out += 1
            else:
                file.write(line)
                written += 1
    with atomic_write(record) as file:
        facts = {"file": output.name, "sha256": file_digest(output), "documents": written, "sources": entries}
        file.write(json.dumps(facts, indent=1, ensure_ascii=False).encode() + b"\n")
    return {"written": written, "left out": left_out}


def main() -> int:
    options = parse_arguments()
    output: Path = options.output
    target_of(output)  # told before the work, both
    written_kind(output)
    sources = choose_sets(options.size, {name: getattr(options, name) for name in KNOWN_SETS})
    output.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(output.with_name(f".{output.name}.lock")):  # another process may be writing the same
        download(output, sources, Console(highlight=False, soft_wrap=True))
    return 0


def download(output: Path, sources: dict[str, HubSource], console: Console) -> None:
    """Fetch the data sets and write them as one file, unless it is there already."""
    record = output.with_name(output.name + ".sources.json")
    entries = [described(source, name) for name, source in sources.items()]
    folder = output.with_name(f".{output.name}.parts")
    if is_there(output, record, entries):
        shutil.rmtree(folder, ignore_errors=True)
        console.print(f"{output} holds just this already; nothing to fetch", markup=False)
        return
    try:
        parts = fetch_all(sources, folder, console)
    finally:
        with suppress(OSError):
            folder.rmdir()  # where nothing was kept
    counts = join(output, parts, record, entries)
    shutil.rmtree(folder)
    console.print(f"{output}: {counts['written']:,} documents; where they come from: {record}", markup=False)
    if counts["left out"]:
        console.print(f"{counts['left out']:,} documents that look like chat markup are left out; .jsonl keeps them")


def fetch_all(sources: dict[str, HubSource], folder: Path, console: Console) -> list[Path]:
    """Fetch each data set into a file of its own; one that is there already was fetched before a break."""
    parts = []
    for name, source in sources.items():
        parts.append(folder / f"{name}-{fingerprint(source.identity())}.jsonl")
        console.print(f"{name}: {source.limit:,} rows of {source.name}, {KNOWN_SETS[name].licence}", markup=False)
        if not parts[-1].exists():
            console.print(told(fetch(source, parts[-1]), source), markup=False)
    return parts


def told(done: Fetched, source: HubSource) -> str:
    """What came of a data set."""
    line = f"  {done.documents:,} documents, {done.dropped:,} rows dropped by cleaning"
    return line if done.rows == source.limit else f"{line}; the data set has no more than {done.rows:,} such rows"


if __name__ == "__main__":
    run_program(main)
