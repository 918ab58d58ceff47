"""Files, folders and globs to data files, and what they leave out."""

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from lai.data.sources.formats.moses import expected_partner, partner
from lai.data.sources.kinds import ENGLISH_FILE, EXPECTED_ENDINGS, HUNGARIAN_FILE, kind_of, packing_of
from lai.data.sources.reading import DEFAULT_READING, Reading
from lai.data.sources.recognition import holds_rows, recognize
from lai.host.errors import UserError
from lai.host.files import check_regular, with_home

_PAIR = (ENGLISH_FILE, HUNGARIAN_FILE)
_MAX_ENDINGS = 5  # that are named of files left out


def find_files(paths: str | Path | Sequence[str | Path], reading: Reading = DEFAULT_READING) -> list[Path]:
    """The files that `paths` (files, globs, folders) name, sorted, each once.

    A folder stands for all files in it with a known ending, at any depth, without hidden ones. A glob stands for its
    matches with a known ending. Of a pair of files such as `x.en` and `x.hu`, either stands for both. Folders and globs
    leave out such a file without the other one, and `.json` and `.csv` files whose rows `reading` does not know.

    Raises:
        UserError: a path names nothing, or nothing with a known ending.
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    if not given or "" in given:
        raise UserError("no data files are given; expected a file, a folder or a pattern such as data/*.txt")
    found: dict[Path, Path] = {}
    for path in given:
        for file in _expand(with_home(path), reading):
            found.setdefault(file.resolve(), file)
            if kind_of(file) in _PAIR and (other := partner(file)):
                found.setdefault(other.resolve(), other)
    return sorted(found.values())


def files_left_out(paths: str | Path | Sequence[str | Path], reading: Reading = DEFAULT_READING) -> dict[str, int]:
    """How many files of each ending `find_files` leaves out of folders and globs, the most frequent ending first.

    Hidden files, and files that LAi itself writes beside texts, do not count.
    """
    given = [paths] if isinstance(paths, str | Path) else paths
    candidates = {file.resolve(): file for path in given for file in _candidates(with_home(path))}
    return _endings_left_out(candidates.values(), reading)


def listed(endings: Mapping[str, int]) -> str:
    """Endings and their numbers of files as text: `10 .md, 2 .docx`."""
    most = list(endings.items())[:_MAX_ENDINGS]
    others = sum(endings.values()) - sum(count for _, count in most)
    return ", ".join([f"{count:,} {ending}" for ending, count in most] + ([f"{others:,} others"] if others else []))


def _expand(path: Path, reading: Reading) -> list[Path]:
    known = EXPECTED_ENDINGS
    if path.is_file() and kind_of(path) is None:
        raise UserError(f"{path} is of no known kind; {known}")
    if path.is_file() and kind_of(path) in _PAIR and partner(path) is None:
        raise UserError(f"{path} has no partner; expected {expected_partner(path)} beside it")
    if path.exists() and not path.is_dir():
        check_regular(path)
    candidates = _candidates(path)
    if not candidates and not path.is_dir():
        raise UserError(f"{path} does not exist and matches no file; {known}")
    files = [file for file in sorted(candidates) if file.is_file() and (file == path or _is_read(file, reading))]
    if not files:
        for file in sorted(candidates):
            if kind_of(file) == ".csv" and file.is_file():
                recognize(file, reading)  # says what its columns are and how they are mapped
        there = listed(_endings_left_out(candidates, reading))
        raise UserError(f"{path} holds no file of a known kind{there and f' but {there}'}; {known}")
    return files


def _candidates(path: Path) -> list[Path]:
    """The file itself, what is in the folder, or what the glob matches, of any kind."""
    if path.is_file():
        return [path]
    if path.is_dir():
        return list(_walk(path))
    # Path.glob takes no absolute pattern.
    return [Path(match) for match in glob.glob(str(path), recursive=True)]  # noqa: PTH207


def _endings_left_out(candidates: Iterable[Path], reading: Reading) -> dict[str, int]:
    endings: Counter[str] = Counter()
    for file in candidates:
        if file.is_file() and not _is_read(file, reading) and not _is_own_file(file):
            endings["".join(file.suffixes[-2 if packing_of(file) else -1 :]).lower() or "without ending"] += 1
    return dict(endings.most_common())


def _is_read(file: Path, reading: Reading) -> bool:
    """Whether a folder or a glob that holds the file stands for it."""
    kind = kind_of(file)
    if kind in (".json", ".csv"):
        return not _is_own_file(file) and holds_rows(file, reading)
    return kind is not None and (kind not in _PAIR or partner(file) is not None)


def _is_own_file(file: Path) -> bool:
    """Whether LAi wrote the file: a vocabulary, a model, or the sidecar of a file beside it."""
    if file.suffix in (".json", ".lock"):
        first = file.with_suffix("")
        return first.is_file() or (first.suffix == ".sources" and first.with_suffix("").exists())
    return file.suffix in (".bin", ".ckpt")


def _walk(folder: Path) -> Iterator[Path]:
    """The files in a folder at any depth, without hidden files and folders."""

    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}; its files would be left out")

    for root, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(root) / name for name in names if not name.startswith("."))
