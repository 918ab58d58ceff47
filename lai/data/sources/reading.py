"""How rows are read, and what happens to faulty ones."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lai.data.sources.kinds import place
from lai.data.sources.streams import CorpusCounts
from lai.data.sources.values import describe
from lai.host.errors import UserError
from lai.tokenizer.chat import Document
from lai.tokenizer.folding import FOLDING_VERSION

Row = Mapping[str, Any]
NumberedDocument = tuple[int, Document]
"""A document and the number, from 1, of the line or row it stands in."""

_MAX_REASON = 100  # characters of a message at the place of a faulty row


@dataclass(frozen=True)
class Reading:
    """The settings that decide how the rows of files become documents, and in which form their text is used.

    Args:
        columns: `data.columns`: our names of columns and the file's.
        template: `data.template`: the text form of a row's document.
        bad_rows: `data.bad_rows`: `error` or `skip`.
        normalize: `data.normalize`: what is trained on is folded (`lai.tokenizer.folding`).
        max_unpacked: `data.max_unpacked`: bytes that a packed file may unpack to (`CorpusCounts`).
    """

    columns: Mapping[str, str] | None = None
    template: str | None = None
    bad_rows: str = "error"
    normalize: bool = False
    max_unpacked: int | None = None

    @property
    def maps_rows(self) -> bool:
        """Whether the settings, not the row's own columns, decide what a row is."""
        return bool(self.columns) or self.template is not None

    def recorded(self) -> dict[str, Any]:
        """What fingerprints of a vocabulary and of token files say of all this."""
        folding = {"folding": FOLDING_VERSION} if self.normalize else {}
        how = self.identity()
        return folding | ({"reading": how} if how else {})

    def identity(self) -> dict[str, Any]:
        """The settings that are not the default and decide what the documents are."""
        settings = {"columns": dict(self.columns or {}) or None, "template": self.template}
        chosen: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
        return chosen | ({"bad_rows": self.bad_rows} if self.bad_rows != "error" else {})


DEFAULT_READING = Reading()


class RowReader:
    """The documents of one file's rows. A faulty row is an error, or is counted and left out.

    Args:
        to_documents: makes a row's documents; raises UserError where the row is faulty.
        skip: leave faulty rows out.
    """

    def __init__(
        self, path: Path, counts: CorpusCounts, to_documents: Callable[[Row], Sequence[Document]], *, skip: bool
    ) -> None:
        self._path = path
        self._counts = counts
        self._to_documents = to_documents
        self._skip = skip
        self._good = self._bad = 0
        self._first = ""

    def read(self, number: int, row: Any) -> Iterator[NumberedDocument]:
        """The documents of a row; none where a pair lacks a side.

        Raises:
            UserError: the row is faulty, and faulty rows are not left out.
        """
        if not isinstance(row, Mapping):
            found = describe(row)
            return self.refuse(number, f'found {found}; expected an object such as {{"text": "…"}}')
        try:
            documents = self._to_documents(row)
        except UserError as error:
            return self.refuse(number, str(error))
        self._good += 1
        return self._kept(number, documents)

    def _kept(self, number: int, documents: Sequence[Document]) -> Iterator[NumberedDocument]:
        if not documents:
            self._counts.skipped += 1
        for document in documents:
            if all(not turn.content.strip() for turn in document):
                self._counts.empty += 1
            else:
                yield number, document

    def refuse(self, number: int, message: str) -> Iterator[NumberedDocument]:
        """A faulty row gives no document.

        Raises:
            UserError: faulty rows are not left out.
        """
        where = place(self._path, number)
        if not self._skip:
            remedy = "; data.bad_rows=skip leaves such rows out" if self._good else ""
            raise UserError(f"{where}: {message}{remedy}")
        self._bad += 1
        self._first = self._first or f"{where}: {message}"
        self._counts.add_bad_row(f"{where} ({message.partition('; ')[0][:_MAX_REASON]})")
        return iter(())

    def finish(self) -> None:
        """The file ends.

        Raises:
            UserError: more than half of its rows are faulty.
        """
        if self._bad > self._good:
            raise UserError(f"{self._first}; {self._bad:,} of {self._bad + self._good:,} rows are faulty")
