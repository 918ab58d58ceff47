"""Rows of a data set to documents: columns renamed, cleaned, and put into a template."""

import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lai.data.sources.cleaning import CLEANERS, Row
from lai.data.sources.rows import row_documents
from lai.data.sources.values import column_names
from lai.host.errors import UserError
from lai.tokenizer.chat import Document, Turn, has_stray_tags, parse

ToDocuments = Callable[[Row], Sequence[Document]]


def row_mapper(
    columns: Mapping[str, str] | None,
    clean: str | None,
    template: str | None,
    *,
    group: str = "data.hub",
    default: ToDocuments | None = None,
) -> ToDocuments:
    """Make the function from a row to its documents: none if cleaning drops the row or a turn stays blank.

    Args:
        columns: our names of columns and the data set's, as in `{"text": "body"}`; `a.b` is the field b of column a.
        clean: one of `CLEANERS`.
        template: the text form of a row's document, such as `"{title}\\n{text}"` or
            `"<user>{question}</user><assistant>{answer.text}</assistant>"`: tags in the template are markup, tags in a
            column never are. None: what `default` reads.
        group: the settings' group, for messages.
        default: reads a row without a template. None: `row_documents`, but a `text` is never markup.

    Raises:
        UserError: the template has no column or is malformed; there is no such cleaning. The function raises it where a
            row lacks a column.
    """
    if clean is not None and clean not in CLEANERS:
        raise UserError(f"{group}.clean is {clean!r}; it must be one of {', '.join(CLEANERS)}")
    cleaner = None if clean is None else CLEANERS[clean]
    to_documents = (default or _default_documents) if template is None else _filler(template, f"{group}.template")

    def read(row: Row) -> Sequence[Document]:
        cleaned: Row | None = {ours: _field(row, theirs) for ours, theirs in columns.items()} if columns else row
        if cleaner is not None:
            assert cleaned is not None
            cleaned = cleaner(cleaned)
        if cleaned is None:
            return ()
        return [document for document in to_documents(cleaned) if all(turn.content.strip() for turn in document)]

    return read


def _default_documents(row: Row) -> Sequence[Document]:
    if "text" in row and "messages" not in row:
        return [(Turn("text", _value(row, "text")),)]
    return row_documents(row)


def _filler(template: str, name: str) -> ToDocuments:
    """The function that puts a row's values into the template's turns; `name` is the setting's."""
    document = parse(template.encode())
    if has_stray_tags(document) or (document[0].role == "text" and template.lstrip().startswith("<")):
        raise UserError(f"{name} is {template!r}; expected whole turns, such as <user>…</user><assistant>…</assistant>")
    turns = [(turn.role, _parts(turn.content.decode(), name)) for turn in document]
    if not any(field is not None for _, parts in turns for _, field in parts):
        raise UserError(f"{name} is {template!r}; expected at least one column, such as {{text}}")

    def fill(row: Row) -> Sequence[Document]:
        return [
            tuple(
                Turn(role, b"".join(text + (b"" if field is None else _value(row, field)) for text, field in parts))
                for role, parts in turns
            )
        ]

    return fill


def _parts(text: str, name: str) -> list[tuple[bytes, str | None]]:
    """A template's text as pairs: literal bytes, and the column that follows them."""
    try:
        parsed = list(string.Formatter().parse(text))
    except ValueError as error:
        raise UserError(f"{name} holds {text!r}: {error}; a literal brace is written {{{{ or }}}}") from error
    for _, field, spec, conversion in parsed:
        if field == "" or spec or conversion:
            raise UserError(f"{name} holds {text!r}; expected plain columns, such as {{text}} or {{a.b}}")
    return [(literal.encode(), field) for literal, field, _, _ in parsed]


def _field(row: Row, field: str) -> Any:
    value: Any = row
    for key in field.split("."):
        if not isinstance(value, Mapping) or key not in value:
            raise UserError(f"found columns {column_names(row)}; expected {field}")
        value = value[key]
    return value


def _value(row: Row, field: str) -> bytes:
    """A column's text; `a.b` is the field `b` of the column `a`, and a missing value is empty."""
    value = _field(row, field)
    if value is None:
        return b""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str | int | float):
        raise UserError(f"column {field} is a {type(value).__name__}; expected a text")
    return str(value).encode("utf-8", "surrogatepass")
