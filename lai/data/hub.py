"""Data sets of the Hugging Face hub (or a folder of Parquet files) to documents, streamed row by row."""

import gzip
import json
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from lai.data.corpus import document_row, row_documents
from lai.data.markup import Document, Turn, parse
from lai.data.progress import progress
from lai.errors import UserError
from lai.files import atomic_write

Row = Mapping[str, Any]


def hub_documents(
    name: str,
    *,
    split: str,
    config: str | None = None,
    revision: str | None = None,
    template: str | None = None,
    limit: int | None = None,
) -> Iterator[Document]:
    """The documents of the first `limit` rows of a data set's split; rows that leave a turn blank give none.

    Args:
        name: the data set, such as `roneneldan/TinyStories`, or a local folder of data files.
        template: what a row becomes, such as `"{title}\\n{text}"` or
            `"<user>{question}</user><assistant>{answer.text}</assistant>"`: the template's tags are markup, a column's
            never are. None: `text`, `messages`, or both directions of `translation` or of `en` and `hu`.

    Raises:
        UserError: the data set cannot be reached or read, or a row lacks what the template asks for.
    """
    to_documents = _default_documents if template is None else _filler(template)
    for number, row in enumerate(_rows(name, split, config, revision, limit), start=1):
        try:
            documents = to_documents(row)
        except UserError as error:
            raise UserError(f"{name} ({split}): row {number}: {error}") from None
        yield from (document for document in documents if all(turn.content.strip() for turn in document))


def save_hub_documents(path: Path | str, **settings: Any) -> dict[str, Any]:
    """Write `hub_documents(**settings)` as `.jsonl.gz`, whole or not at all; returns how many there were.

    Raises:
        UserError: as `hub_documents`, or there is no document.
    """
    count = 0
    title = f"fetching {settings.get('name')}"
    with atomic_write(path) as file, progress(title, settings.get("limit")) as show:
        # Neither a name nor a time in the file: equal documents make an equal file.
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
            for document in hub_documents(**settings):
                line = json.dumps(document_row(document), ensure_ascii=False)
                packed.write(line.encode("utf-8", "surrogatepass") + b"\n")
                count += 1
                show(count)
        if not count:
            raise UserError(f"{settings.get('name')} gave no document; check data.hub.template and data.hub.limit")
    return {"documents": count}


def _rows(name: str, split: str, config: str | None, revision: str | None, limit: int | None) -> Iterator[Row]:
    # Loading it takes seconds, and only this function needs it.
    import datasets

    try:
        rows = datasets.load_dataset(name, config, split=split, revision=revision, streaming=True)
        yield from islice(rows, limit)
    except Exception as error:  # datasets, huggingface_hub, fsspec, the HTTP client and Arrow share no base class
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"{name} (config {config}, split {split}, revision {revision or 'main'}) cannot be read from "
            f"{datasets.config.HF_ENDPOINT}: {reason[0]}; check the name and the connection, "
            "or use data=synthetic or a local file with data=text data.path=…"
        ) from error


def _default_documents(row: Row) -> Sequence[Document]:
    if "text" in row and "messages" not in row:
        return [(Turn("text", _value(row, "text")),)]
    return row_documents(row)


def _filler(template: str) -> Callable[[Row], Sequence[Document]]:
    """The function that puts a row's values into the template's turns."""
    turns = [(turn.role, _parts(turn.content.decode())) for turn in parse(template.encode())]
    if not any(field is not None for _, parts in turns for _, field in parts):
        raise UserError(f"data.hub.template is {template!r}; expected at least one column, such as {{text}}")

    def fill(row: Row) -> Sequence[Document]:
        return [
            tuple(
                Turn(role, b"".join(text + (b"" if field is None else _value(row, field)) for text, field in parts))
                for role, parts in turns
            )
        ]

    return fill


def _parts(text: str) -> list[tuple[bytes, str | None]]:
    """A template's text as pairs of literal bytes and the column behind them."""
    try:
        parsed = list(string.Formatter().parse(text))
    except ValueError as error:
        raise UserError(
            f"data.hub.template holds {text!r}: {error}; a literal brace is written {{{{ or }}}}"
        ) from error
    for _, field, spec, conversion in parsed:
        if field == "" or spec or conversion:
            raise UserError(f"data.hub.template holds {text!r}; expected plain columns, such as {{text}} or {{a.b}}")
    return [(literal.encode(), field) for literal, field, _, _ in parsed]


def _value(row: Row, field: str) -> bytes:
    """A column's text; `a.b` is the field `b` of the column `a`, and a missing value is empty."""
    value: Any = row
    for key in field.split("."):
        if not isinstance(value, Mapping) or key not in value:
            raise UserError(f"found columns {', '.join(map(repr, list(row)[:8]))}; expected {field}")
        value = value[key]
    if value is None:
        return b""
    if not isinstance(value, str | int | float):
        raise UserError(f"column {field} is a {type(value).__name__}; expected a text")
    return str(value).encode("utf-8", "surrogatepass")
