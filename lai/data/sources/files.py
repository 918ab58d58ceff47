"""Text files of any supported kind to documents, streamed in memory that does not grow with the files.

One row of a file is one document (a pair of sentences: two, one for each direction). The kinds, each also with `.gz`:

- `.txt`: a document a line. Only a line feed ends a line; one carriage return before it is dropped. U+2028, Unicode's
  line separator, is a line's end inside the document.
- `.jsonl`: an object a line, read as a row (see `row_documents`).
- `.tsv`: English TAB Hungarian.
- `.parquet`: a row a document, read as in `.jsonl`; only the columns that a row needs are loaded.
"""

import codecs
import glob
import gzip
import io
import json
import os
import shutil
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lai.host.errors import UserError
from lai.host.files import with_home
from lai.tokenizer.chat import (
    ROLES,
    Document,
    Turn,
    parse,
    parse_line,
    plain,
    translation_examples,
)

KINDS = (".txt", ".jsonl", ".tsv", ".parquet")
ROW_COLUMNS = ("messages", "text", "translation", "en", "hu")

Numbered = tuple[int, Document]
"""A document and the number, from 1, of the line or row it stands in."""

_UTF8_BOM = b"\xef\xbb\xbf"
_PARQUET_ROWS = 1024
_ENDINGS = 5  # that are named of files left out
_BATCH_BYTES = 1 << 20
_BATCH_DOCUMENTS = 1 << 14


@dataclass
class CorpusCounts:
    """What reading a corpus met. `bytes_read` counts bytes of the files as they lie on the disk, for progress."""

    documents: int = 0
    empty: int = 0
    skipped: int = 0
    bytes_read: int = 0


def kind_of(path: Path) -> str | None:
    """The kind of a file by its name (`.txt` for `a.txt` and `a.TXT.gz`), or None where it is none of ours."""
    name = path.name.lower().removesuffix(".gz")
    return next((kind for kind in KINDS if name.endswith(kind)), None)


def find_files(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """The files that `paths` (files, globs, folders) name, sorted, each once.

    A folder stands for all files in it with a known ending, at any depth, hidden ones left out; a glob for its matches
    with a known ending.

    Raises:
        UserError: a path names nothing, or nothing with a known ending.
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    if not given or "" in given:
        raise UserError("no data files are given; expected a file, a folder or a pattern such as data/*.txt")
    found: dict[Path, Path] = {}
    for path in given:
        for file in _expand(with_home(path)):
            found.setdefault(file.resolve(), file)
    return sorted(found.values())


def files_left_out(paths: str | Path | Sequence[str | Path]) -> dict[str, int]:
    """How many files of each ending `find_files` leaves out of folders and globs, the most frequent ending first.

    Hidden files and those that LAi itself writes beside texts do not count.
    """
    given = [paths] if isinstance(paths, str | Path) else paths
    candidates = {file.resolve(): file for path in given for file in _candidates(with_home(path))}
    return _endings_left_out(candidates.values())


def _expand(path: Path) -> list[Path]:
    known = f"expected files ending in {', '.join(KINDS)} (each also with .gz)"
    if path.is_file() and kind_of(path) is None:
        raise UserError(f"{path} is of no known kind; {known}")
    candidates = _candidates(path)
    if not candidates and not path.is_dir():
        raise UserError(f"{path} does not exist and matches no file; {known}")
    files = [file for file in sorted(candidates) if file.is_file() and kind_of(file) is not None]
    if not files:
        there = listed(_endings_left_out(candidates))
        raise UserError(f"{path} holds no file of a known kind{there and f' but {there}'}; {known}")
    return files


def _candidates(path: Path) -> list[Path]:
    """The file itself, what is in the folder, or what the glob matches, of any kind."""
    if path.is_file():
        return [path]
    if path.is_dir():
        return list(_files_in(path))
    # Path.glob takes no absolute pattern.
    return [Path(match) for match in glob.glob(str(path), recursive=True)]  # noqa: PTH207


def _endings_left_out(candidates: Iterable[Path]) -> dict[str, int]:
    endings: Counter[str] = Counter()
    for file in candidates:
        if kind_of(file) is None and file.is_file() and not _is_ours(file):
            endings[
                "".join(file.suffixes[-2 if file.suffix.lower() == ".gz" else -1 :]).lower() or "without ending"
            ] += 1
    return dict(endings.most_common())


def _is_ours(file: Path) -> bool:
    """Whether a file is a vocabulary or a model, or stands beside another one whose name its own begins with."""
    if file.suffix in (".json", ".lock"):
        first = file.with_suffix("")
        return first.exists() or (first.suffix == ".sources" and first.with_suffix("").exists())
    return file.suffix in (".bin", ".ckpt")


def listed(endings: Mapping[str, int]) -> str:
    """Endings and how many files have each, as a person reads them: `10 .md, 2 .docx`."""
    most = list(endings.items())[:_ENDINGS]
    others = sum(endings.values()) - sum(count for _, count in most)
    return ", ".join([f"{count:,} {ending}" for ending, count in most] + ([f"{others:,} others"] if others else []))


def _files_in(folder: Path) -> Iterator[Path]:
    """What is in a folder at any depth, but for what is hidden."""

    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}; nothing in it would be trained on")

    for root, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(root) / name for name in names if not name.startswith("."))


def read_documents(paths: str | Path | Sequence[str | Path], counts: CorpusCounts | None = None) -> Iterator[Document]:
    """The documents of all files that `paths` name, in the files' order; `counts` is kept up to date meanwhile.

    Lines without text are left out and counted, as are `.tsv` lines and rows of pairs that do not have exactly two
    non-empty sides.

    Raises:
        UserError: a file is missing, damaged or not what its ending says (the message names path and line), or more
            than half of the lines of a `.tsv` are not pairs.
    """
    counts = CorpusCounts() if counts is None else counts
    for path in find_files(paths):
        for _, document in read_file(path, counts):
            counts.documents += 1
            yield document


def in_batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Documents in lists that are neither long nor large: few steps for all, and little memory for each."""
    batch: list[Document] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += sum(len(turn.content) for turn in document)
        if size >= _BATCH_BYTES or len(batch) >= _BATCH_DOCUMENTS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def read_file(path: Path, counts: CorpusCounts) -> Iterator[Numbered]:
    """The documents of one file, each with the number of its line or row; see `read_documents`."""
    readers = {".txt": _read_text, ".jsonl": _read_jsonl, ".tsv": _read_pairs, ".parquet": _read_parquet}
    kind = kind_of(path)
    assert kind is not None, path
    end = counts.bytes_read
    with _telling_damage(path):
        end += path.stat().st_size
        yield from readers[kind](path, counts)
    counts.bytes_read = end  # Parquet leaves columns out and reads its footer twice


@contextmanager
def _telling_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is a damaged gzip file ({error}); expected a whole one, fetch it again") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error


def read_chunks(path: Path, counts: CorpusCounts, size: int) -> Iterator[bytes]:
    """The bytes of a file in pieces of at most `size`, unpacked, without a byte order mark.

    Raises:
        UserError: the file cannot be read or is damaged.
    """
    with _telling_damage(path), _open(path, counts) as file:
        chunk = file.read(size).removeprefix(_UTF8_BOM)
        while chunk:
            yield chunk
            chunk = file.read(size)


class _CountedFile(io.FileIO):
    """A file that notes how much of it has been read."""

    def __init__(self, path: Path, counts: CorpusCounts) -> None:
        super().__init__(path)
        self._counts = counts

    def readinto(self, buffer: Any, /) -> int | None:
        size = super().readinto(buffer)
        self._counts.bytes_read += size or 0
        return size


class _Unpacked(io.BufferedReader):
    """The content of a gzip file."""


@contextmanager
def _open(path: Path, counts: CorpusCounts) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked where its name ends in `.gz`."""
    with io.BufferedReader(_CountedFile(path, counts), 1 << 16) as file:
        if path.name.lower().endswith(".gz"):
            with _Unpacked(gzip.GzipFile(fileobj=file), 1 << 16) as unpacked:
                yield unpacked
        else:
            yield file


def _lines(path: Path, counts: CorpusCounts) -> Iterator[tuple[int, bytes]]:
    """The lines that hold text, with their numbers from 1, without line end and byte order mark."""
    with _open(path, counts) as file:
        for number, line in enumerate(file, start=1):
            if number == 1:
                _refuse_utf16(path, line)
                line = line.removeprefix(_UTF8_BOM)
            line = line.removesuffix(b"\n").removesuffix(b"\r")
            if line.strip():
                yield number, line
            else:
                counts.empty += 1


def _refuse_utf16(path: Path, start: bytes) -> None:
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UserError(f"{path} is UTF-16; expected UTF-8: iconv -f UTF-16 -t UTF-8 {path} > NEW")


def _read_text(path: Path, counts: CorpusCounts) -> Iterator[Numbered]:
    for number, line in _lines(path, counts):
        yield number, parse_line(line)


def _read_pairs(path: Path, counts: CorpusCounts) -> Iterator[Numbered]:
    good = bad = first_bad = 0
    for number, line in _lines(path, counts):
        columns = line.split(b"\t")
        if len(columns) == 2 and columns[0].strip() and columns[1].strip():
            good += 1
            for document in translation_examples(columns[0], columns[1]):
                yield number, document
        else:
            bad += 1
            first_bad = first_bad or number
    counts.skipped += bad
    if bad > good:
        raise UserError(
            f"{path}:{first_bad}: {bad} of {good + bad} lines are not two non-empty columns; "
            "expected English, a tab, Hungarian"
        )


def _read_jsonl(path: Path, counts: CorpusCounts) -> Iterator[Numbered]:
    for number, line in _lines(path, counts):
        try:
            # Lone surrogates, written raw or as \uD800, are kept as the three bytes that they would be in UTF-8.
            row = json.loads(line.decode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}:{number}: not JSON ({error}); expected one object a line") from error
        if not isinstance(row, dict):
            raise UserError(f'{path}:{number}: found {_name(row)}; expected an object such as {{"text": "…"}}')
        for document in _located_row(f"{path}:{number}", row, counts):
            yield number, document


def _read_parquet(path: Path, counts: CorpusCounts) -> Iterator[Numbered]:
    import pyarrow
    from pyarrow import parquet

    try:
        with _open(path, counts) as stream, _seekable(stream) as file, parquet.ParquetFile(file) as table:
            columns = [name for name in table.schema_arrow.names if name in ROW_COLUMNS]
            number = 0
            for batch in table.iter_batches(_PARQUET_ROWS, columns=columns or table.schema_arrow.names):
                for row in batch.to_pylist():
                    number += 1
                    for document in _located_row(f"{path}: row {number}", row, counts):
                        yield number, document
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} is damaged or not a Parquet file ({reason}); expected a whole one") from error


@contextmanager
def _seekable(stream: IO[bytes]) -> Iterator[IO[bytes]]:
    """The stream itself, or a temporary copy where it is packed: Parquet is read from its end."""
    if isinstance(stream, _Unpacked):
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(stream, copy, 1 << 20)
            yield copy
    else:
        yield stream


def _located_row(where: str, row: Mapping[str, Any], counts: CorpusCounts) -> Iterator[Document]:
    try:
        documents = row_documents(row)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    if not documents:
        counts.skipped += 1
    for document in documents:
        if all(not turn.content.strip() for turn in document):
            counts.empty += 1
        else:
            yield document


def row_documents(row: Mapping[str, Any]) -> Sequence[Document]:
    """The documents of one row: none where a pair lacks a side.

    The first of these that the row has counts: `messages`, a list of `{"role", "content"}` whose contents are never
    markup; `text`, which may hold markup; `translation`, an object with `en` and `hu`; or `en` and `hu` themselves. A
    single message with the role "text" is plain text whose letters are never markup.

    Raises:
        UserError: the row has none of them, or one of another type; the message says what was found and expected.
    """
    if "messages" in row:
        return [_conversation(row["messages"])]
    if "text" in row:
        return [parse(_to_bytes("text", row["text"]))]
    pair = row.get("translation", row)
    if pair is None:
        return ()
    if not isinstance(pair, Mapping) or not {"en", "hu"} <= pair.keys():
        names = ", ".join(map(repr, list(pair)[:8])) if isinstance(pair, Mapping) else _name(pair)
        inside = " in translation" if "translation" in row else ""
        raise UserError(f"found {names or 'nothing'}{inside}; expected text, messages, en and hu, or translation")
    english, hungarian = (_to_bytes(side, pair[side]) for side in ("en", "hu"))
    return translation_examples(english, hungarian) if english.strip() and hungarian.strip() else ()


def _conversation(messages: Any) -> Document:
    if not isinstance(messages, list) or not messages:
        raise UserError(f"messages is {_name(messages)}; expected a list of at least one {{role, content}}")
    if len(messages) == 1 and isinstance(messages[0], Mapping) and messages[0].get("role") == "text":
        return plain(_to_bytes("content", messages[0].get("content")))
    turns = []
    for message in messages:
        if not isinstance(message, Mapping) or message.get("role") not in ROLES:
            found = message.get("role") if isinstance(message, Mapping) else message
            raise UserError(f"a message's role is {_name(found)}; expected {', '.join(ROLES)}")
        if message.get("content") is None:
            raise UserError(f"the {message['role']} message has no content; expected a text")
        turns.append(Turn(message["role"], _to_bytes("content", message["content"])))
    return tuple(turns)


def _to_bytes(name: str, value: Any) -> bytes:
    """A text's bytes; a missing one is empty."""
    if value is None:
        return b""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, bytes):
        return value
    raise UserError(f"{name} is {_name(value)}; expected a text")


def _name(value: Any) -> str:
    """How an unexpected JSON value is called in a message."""
    match value:
        case None:
            return "null"
        case dict():
            return "an object"
        case []:
            return "an empty list"
        case list():
            return "a list"
        case _:
            return repr(value)[:40]
