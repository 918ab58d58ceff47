"""Documents to fingerprinted token files: built once, memory-mapped, rebuilt when any of their inputs changes.

1. The text files are hashed. The hashes, the vocabulary's fingerprint and the settings name a folder.
2. A folder that exists and is intact is used. Otherwise documents are read in batches, encoded, and appended to the
   file of their split. The folder gets its name only when all of it is on the disk.

`<cache>/shards-<fingerprint>/` holds `train.bin`, `train.idx`, `val.bin`, `val.idx` (see token_file.py), and
`meta.json`, which records the inputs of the folder and the digests of its files.
"""

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from lai.data.cache import fingerprint, locked
from lai.data.quality.counting import Counting
from lai.data.sources.discovery import find_files
from lai.data.sources.kinds import kind_of, packing_of
from lai.data.sources.reading import DEFAULT_READING, Reading
from lai.data.sources.recognition import recognize
from lai.data.tokens.joined import Tokens
from lai.data.tokens.splits import HASH_RANGE, CorpusStats, Making, Splits, SplitStats, Work
from lai.data.tokens.token_file import TokenFile, token_dtype
from lai.host.errors import UserError
from lai.host.files import atomic_directory, file_digest, read_json
from lai.host.progress import progress
from lai.host.workers import IN_PROCESS, Workers
from lai.tokenizer.vocab import Vocab

FORMAT_VERSION = 5
_FILES = ("train.bin", "train.idx", "val.bin", "val.idx")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TokenFiles:
    """A finished folder of token files, one a split."""

    folder: Path
    train: Tokens
    val: Tokens
    stats: CorpusStats
    digests: dict[str, str]
    """The SHA-256 of each split's tokens."""
    sources: list[dict[str, Any]]
    """The size, SHA-256 and kind of each file that is trained on, in their order."""
    val_sources: list[dict[str, Any]]
    """The same of the files to validate with; empty: a share of the documents is chosen."""

    @classmethod
    def open(cls, folder: Path) -> "TokenFiles":
        meta = read_json(folder / "meta.json")
        stats = {name: SplitStats(**meta["stats"][name]) for name in ("train", "val")}
        train, val = (TokenFile(folder / f"{name}.bin", meta["dtype"]) for name in ("train", "val"))
        digests = {name: meta["files"][f"{name}.bin"]["sha256"] for name in ("train", "val")}
        return cls(folder, train, val, CorpusStats(**stats), digests, meta["sources"], meta.get("val_sources", []))


def prepare_token_files(
    paths: str | Path | Sequence[str | Path],
    vocab: Vocab,
    cache_dir: str | Path,
    *,
    val_fraction: float,
    split_seed: int,
    val_paths: str | Path | Sequence[str | Path] | None = None,
    reading: Reading = DEFAULT_READING,
    workers: Workers = IN_PROCESS,
    counting: Counting | None = None,
) -> TokenFiles:
    """The token files of a corpus: from `cache_dir` if intact files are there, else built.

    With `val_paths`, the documents there are the validation split, and all others the training split. Without, a hash
    of its content and `split_seed` alone puts a document into a split: neither its position nor its neighbours matter,
    and duplicates stay together. If that leaves a split empty, the document with the smallest hash goes to validation,
    or the one with the largest to training.
    If the token files are built, the text of `paths` is added to `counting` on the way.

    Raises:
        UserError: the text cannot be read, changes while it is read, or has fewer than two different documents; the
            cache cannot be written; `val_fraction` is not between 0 and 1.
    """
    if not 0 < val_fraction < 1:
        raise UserError(f"the validation fraction is {val_fraction}; expected a number between 0 and 1, such as 0.05")
    sources = _hash_sources(find_files(paths, reading), reading)
    val_sources = [] if val_paths is None else _hash_sources(find_files(val_paths, reading), reading)
    _warn_of_copies(sources, val_sources)
    settings: dict[str, Any] = {
        "version": FORMAT_VERSION,
        "vocabulary": vocab.fingerprint,
        # The documents depend on the files' content, kind and order, not on their folder.
        "sources": [source.content for source in sources],
    }
    if val_sources:
        settings["val_sources"] = [source.content for source in val_sources]
    else:
        settings |= {"val_fraction": float(val_fraction), "split_seed": split_seed}
    settings |= reading.recorded()
    folder = Path(cache_dir) / f"shards-{fingerprint(settings)}"
    try:
        with locked(folder):
            for stale in folder.parent.glob(f".{folder.name}.*.tmp"):  # left by killed processes
                shutil.rmtree(stale, ignore_errors=True)
            if folder.exists() and (fault := _fault(folder)):
                log.warning("%s; the token files are built again", fault)
                shutil.rmtree(folder)
            if not folder.exists():
                with atomic_directory(folder) as temporary:
                    files, val_files = ([source.file for source in part] for part in (sources, val_sources))
                    _build(temporary, files, val_files, settings, Making(vocab, reading, workers, counting))
                    for source in (*sources, *val_sources):
                        source.check_unchanged()
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error}") from error
    return TokenFiles.open(folder)


@dataclass(frozen=True)
class _Source:
    file: Path
    modified: int
    content: dict[str, Any]

    def check_unchanged(self) -> None:
        status = self.file.stat()
        if (status.st_size, status.st_mtime_ns) != (self.content["size"], self.modified):
            raise UserError(f"{self.file} changed while it was read; run again when it is complete")


def _hash_sources(files: Sequence[Path], reading: Reading) -> list[_Source]:
    sources: list[_Source] = []
    try:
        statuses = [file.stat() for file in files]
        with progress("checking the text", sum(status.st_size for status in statuses)) as show:
            for file, status in zip(files, statuses, strict=True):
                packed = packing_of(file) != ""
                content = {"kind": kind_of(file), "packed": packed, "size": status.st_size, "sha256": file_digest(file)}
                if since := recognize(file, reading).since:
                    content["format"] = since
                sources.append(_Source(file, status.st_mtime_ns, content))
                show(sum(source.content["size"] for source in sources))
    except OSError as error:
        raise UserError(f"a data file cannot be read: {error}") from error
    return sources


def _warn_of_copies(sources: list[_Source], val_sources: list[_Source]) -> None:
    trained = {source.content["sha256"]: source.file for source in sources}
    for source in val_sources:
        if copy := trained.get(source.content["sha256"]):
            log.warning(
                "%s, a validation file, is the same text as %s: val/loss says nothing about new text", source.file, copy
            )


def _fault(folder: Path) -> str | None:
    """What is wrong with a folder of token files; None if every file is, byte for byte, what was written."""
    try:
        meta = read_json(folder / "meta.json")
        if meta.pop("checksum") != _checksum(meta):
            return f"{folder / 'meta.json'} was edited"
        if meta["dtype"] not in ("uint16", "uint32"):
            return f"{folder / 'meta.json'} has the dtype {meta['dtype']!r}; expected uint16 or uint32"
        for name in _FILES:
            if not (folder / name).is_file():
                return f"{folder / name} is missing"
            if file_digest(folder / name) != meta["files"][name]["sha256"]:
                return f"{folder / name} does not hold what was written there"
        TokenFiles.open(folder)
        for name in ("train", "val"):
            file = TokenFile(folder / f"{name}.bin", meta["dtype"])
            if not file.is_consistent():
                return f"{file.path.with_suffix('.idx')} has documents that {file.path} does not have"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, UserError):
        return f"{folder / 'meta.json'} cannot be read"
    return None


def _checksum(meta: dict[str, Any]) -> str:
    return sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()


def _build(
    folder: Path,
    files: Sequence[Path],
    val_files: Sequence[Path],
    settings: dict[str, Any],
    making: Making,
) -> None:
    stats = (
        _write_given(folder, files, val_files, settings, making)
        if val_files
        else _write_chosen(folder, files, settings, making)
    )
    meta: dict[str, Any] = {
        **settings,
        "names": [str(file) for file in (*files, *val_files)],
        "dtype": token_dtype(len(making.vocab)),
        "stats": asdict(stats),
        "files": {
            file.name: {"size": file.stat().st_size, "sha256": file_digest(file)} for file in sorted(folder.iterdir())
        },
    }
    (folder / "meta.json").write_text(json.dumps(meta | {"checksum": _checksum(meta)}, indent=1), encoding="utf-8")


def _write_given(
    folder: Path, files: Sequence[Path], val_files: Sequence[Path], settings: dict[str, Any], making: Making
) -> CorpusStats:
    """Write the token files; the validation documents have files of their own."""
    work = making.work(b"", 0)
    with Splits(folder, work.dtype) as splits:
        making.write(splits, work, files, False, making.counting)
        making.write(splits, work, val_files, True)
        stats = splits.stats()
    for part, written in ((files, stats.train), (val_files, stats.val)):
        if not written.documents:
            raise UserError(f"{part[0]} (of {len(part)} files) holds no document; expected at least one")
    return stats


def _write_chosen(folder: Path, files: Sequence[Path], settings: dict[str, Any], making: Making) -> CorpusStats:
    """Write the token files; a share of the documents is chosen for validation."""
    threshold = int(settings["val_fraction"] * HASH_RANGE)
    work = making.work(str(settings["split_seed"]).encode(), threshold)
    stats, lowest, highest = _write_below(folder, files, work, making, making.counting)
    if not stats.documents:
        raise UserError(f"{files[0]} (of {len(files)} files) holds no document; expected at least two different ones")
    if lowest == highest:
        raise UserError(
            f"{files[0]} (of {len(files)} files) holds only one different document; "
            "expected at least two, one to train on and one to validate with"
        )
    if not stats.val.documents or not stats.train.documents:
        threshold = highest if stats.val.documents else lowest + 1
        stats, _, _ = _write_below(folder, files, replace(work, threshold=threshold), making)
    return stats


def _write_below(
    folder: Path, files: Sequence[Path], work: Work, making: Making, counting: Counting | None = None
) -> tuple[CorpusStats, int, int]:
    """Write both splits' token files; documents whose hash is below the threshold go to validation.

    Returns:
        The statistics, and the lowest and highest hash of all documents.
    """
    with Splits(folder, work.dtype) as splits:
        making.write(splits, work, files, None, counting)
        return splits.stats(), splits.lowest, splits.highest
