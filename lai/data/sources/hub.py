"""Data sets of the Hugging Face hub (or a folder of Parquet files) to documents in a file, fetched row by row.

A download can be interrupted at any moment and resumes: `.NAME.part` holds the rows done so far, `.NAME.state` the
number of its valid bytes and the place in the data set. Only a finished file has the name.
"""

import json
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lai.config.schema import HubDataset
from lai.data.cache import fingerprint
from lai.data.sources.serialize import json_line
from lai.data.sources.templates import row_mapper
from lai.host.errors import UserError
from lai.host.files import atomic_write, read_json, sync_directory, with_home
from lai.host.progress import progress

log = logging.getLogger(__name__)

_SAVE_SECONDS = 2.0
_VERSION = 4  # of reading and cleaning rows


@dataclass
class HubSource(HubDataset):
    """A data set to fetch: the settings `data.hub` with a `name`, and what they mean.

    Raises:
        SettingError: a value is out of its range.
    """

    if TYPE_CHECKING:
        name: str = ""

    def identity(self) -> dict[str, Any]:
        """All that decides which documents there are: the settings, our reading of rows, and a local folder's files."""
        folder = self.folder
        files = [] if folder is None else sorted(file for file in folder.rglob("*") if file.is_file())
        states = [(str(file.absolute()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        return {"settings": asdict(self), "version": _VERSION, "files": states}

    @property
    def folder(self) -> Path | None:
        """The folder of data files that the name stands for, if it is one."""
        path = with_home(self.name)
        return path if path.is_dir() else None

    def __str__(self) -> str:
        return f"{self.name} (config {self.config}, split {self.split}, revision {self.revision or 'main'})"


@dataclass
class Fetched:
    """Counts of a file: rows with documents, rows without, documents, bytes."""

    rows: int = 0
    dropped: int = 0
    documents: int = 0
    size: int = 0


def fetch(source: HubSource, path: Path) -> Fetched:
    """Write the documents of a data set to `path` as `.jsonl`; an interrupted download resumes.

    Only one process may call it at a time: callers hold a lock.

    Raises:
        UserError: the data set cannot be reached or read, a row lacks a column, or there is no document. The rows
            so far stay for the next call.
    """
    to_documents = row_mapper(source.columns, source.clean, source.template)
    part = _Part(path, source)
    rows = _Rows(source, part)
    path.parent.mkdir(parents=True, exist_ok=True)
    with part, progress(f"fetching {source.name}", source.limit) as show:
        show(part.done.rows)
        for row in rows:
            number = part.done.rows + part.done.dropped + 1
            try:
                part.add(to_documents(row))
            except (UserError, UnicodeDecodeError) as error:
                raise UserError(f"{source.name} ({source.split}): row {number}: {error}") from None
            show(part.done.rows)
            if part.is_due:
                part.save(rows.position())
    if not part.done.documents:
        part.remove()
        raise UserError(
            f"{source.name} gave no document from {part.done.dropped} rows; "
            "check its columns, template, cleaning and limit"
        )
    part.finish()
    return part.done


class _Rows:
    """The rows of a data set that are left to do; iterating raises one UserError for any failure."""

    def __init__(self, source: HubSource, part: "_Part") -> None:
        self._source = source
        self._part = part
        self._data: Any = None

    def position(self) -> dict[str, Any]:
        """Where to resume, after the row that was returned last."""
        return self._data.state_dict()  # type: ignore[no-any-return]

    def _commit(self) -> str | None:
        """The commit to read: that of the first call, as a position has no meaning in another one."""
        source, part = self._source, self._part
        if source.folder is None and part.commit is None:
            from huggingface_hub import HfApi

            pinned = re.fullmatch("[0-9a-f]{40}", source.revision or "")
            part.commit = source.revision if pinned else HfApi().dataset_info(source.name, revision=source.revision).sha
        return part.commit

    def _load(self) -> Any:
        """The data set, iterable."""
        import datasets
        from pyarrow.dataset import ParquetFragmentScanOptions

        source = self._source
        builder = datasets.load_dataset_builder(
            str(source.folder or source.name), source.config, revision=self._commit()
        )
        if not source.streaming:
            builder.download_and_prepare()
            return builder.as_dataset(split=source.split).to_iterable_dataset()
        if hasattr(builder.config, "fragment_scan_options"):
            # Arrow would prefetch much of a file before it gives the first row.
            builder.config.fragment_scan_options = ParquetFragmentScanOptions(pre_buffer=False)
        return builder.as_streaming_dataset(split=source.split)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        limit = self._source.limit
        if limit is not None and self._part.done.rows >= limit:
            return
        # Loading it takes seconds, and only this method needs it.
        import datasets

        source = self._source
        datasets.config.STREAMING_READ_MAX_RETRIES = 5  # with 5 seconds between them; the next call resumes anyway
        datasets.disable_progress_bars()
        # They log each failed attempt; we report once, after the last.
        for library in ("datasets", "huggingface_hub"):
            logging.getLogger(library).setLevel(logging.CRITICAL)
        try:
            self._data = self._load()
            if self._part.position is not None:
                self._data.load_state_dict(self._part.position)
            for row in self._data:
                yield row
                if limit is not None and self._part.done.rows >= limit:
                    return
        except UserError:
            raise
        except Exception as error:  # datasets, huggingface_hub, fsspec, the HTTP client and Arrow share no base class
            kept = self._part.saved_rows
            raise UserError(
                f"{source} cannot be read from {datasets.config.HF_ENDPOINT}: {_reason(error)}; "
                + (f"{kept:,} rows are kept, and the same command resumes after them; " if kept else "")
                + "or use data=synthetic or a local copy: data=text data.path=…"
            ) from error


def _reason(error: Exception) -> str:
    """What failed, and what to do."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    log_in = "log in with `hf auth login` or set HF_TOKEN"
    if isinstance(error, GatedRepoError):
        return f"its owner gives access to it; ask on its page, then {log_in}"
    if isinstance(error, RepositoryNotFoundError):
        return f"there is no data set of this name, or it is private; check the name, or {log_in}"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return f"{lines[0]}; check the name and the connection"


class _Part:
    """The unfinished file, and its state on the disk; a context manager."""

    def __init__(self, path: Path, source: HubSource) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self._state = path.with_name(f".{path.name}.state")
        self._source = fingerprint(source.identity())
        self.commit: str | None = None
        self.position: dict[str, Any] | None = None
        self.done = self._read_state()
        self.saved_rows = self.done.rows

    def _read_state(self) -> Fetched:
        try:
            state = read_json(self._state)
            done = Fetched(**state["done"])
            if state["source"] != self._source or self._part.stat().st_size < done.size:
                return Fetched()
            self.position, self.commit = state["position"], state["commit"]
        except (OSError, ValueError, KeyError, TypeError):
            return Fetched()
        return done

    def __enter__(self) -> "_Part":
        self._part.touch()
        self._file = self._part.open("r+b")
        self._file.truncate(self.done.size)  # what follows the last saved state is fetched again
        self._file.seek(self.done.size)
        self._due = time.monotonic() + _SAVE_SECONDS
        if self.saved_rows:
            log.info("resuming after %s rows of %s", f"{self.saved_rows:,}", self._path.name)
        return self

    def __exit__(self, *error: Any) -> None:
        self._file.close()
        if error[0] is not None and not self.saved_rows:
            self.remove()

    def add(self, documents: Any) -> None:
        """Append a row's documents."""
        if not documents:
            self.done.dropped += 1
            return
        lines = b"".join(map(json_line, documents))
        self._file.write(lines)
        self.done.rows += 1
        self.done.documents += len(documents)
        self.done.size += len(lines)

    @property
    def is_due(self) -> bool:
        """Whether it is time to save the state again."""
        return time.monotonic() >= self._due

    def save(self, position: Mapping[str, Any]) -> None:
        """Save all rows so far, so that they survive a crash; `position` is that of the row added last."""
        self._sync()
        state = {"source": self._source, "done": asdict(self.done), "commit": self.commit, "position": position}
        with atomic_write(self._state) as file:
            file.write(json.dumps(state).encode())
        self.saved_rows = self.done.rows
        self._due = time.monotonic() + _SAVE_SECONDS

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def finish(self) -> None:
        """Give the file its name."""
        with self._part.open("r+b") as file:
            os.fsync(file.fileno())
        self._part.replace(self._path)
        self._state.unlink(missing_ok=True)
        sync_directory(self._path.parent)

    def remove(self) -> None:
        """Delete both files."""
        self._part.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)
