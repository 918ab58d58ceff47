"""Documents to lines of a file that is read back as the same documents."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lai.data.sources.kinds import kind_of, packing_of
from lai.host.errors import UserError
from lai.tokenizer.chat import Document, parse, parse_line, render, to_line


def lines(documents: Iterable[Document], kind: str) -> Iterator[bytes | None]:
    """Each document as a line of a file of this kind; None if a `.txt` line would be read as another document."""
    for document in documents:
        if kind == ".jsonl":
            yield json_line(document)
        else:
            line = to_line(document)
            yield line + b"\n" if parse_line(line) == document else None


def output_kind(path: Path) -> str:
    """The kind of a text file to write, by its name.

    Raises:
        UserError: it is neither `.txt` nor `.jsonl`.
    """
    kind = kind_of(path)
    if kind not in (".txt", ".jsonl") or packing_of(path):
        raise UserError(f"--output {path} cannot be written: its kind is unknown; give it the ending .txt or .jsonl")
    return kind


def document_row(document: Document) -> dict[str, Any]:
    """The `.jsonl` row that is read back as this document.

    Raises:
        UnicodeDecodeError: a text is not UTF-8, which JSON cannot hold.
    """
    text = render(document)
    if len(document) == 1 and document[0].role == "text" and parse(text) == document:
        return {"text": text.decode("utf-8", "surrogatepass")}
    return {
        "messages": [{"role": turn.role, "content": turn.content.decode("utf-8", "surrogatepass")} for turn in document]
    }


def json_line(document: Document) -> bytes:
    """The `.jsonl` line that is read back as this document.

    Raises:
        UnicodeDecodeError: as `document_row`.
    """
    return json.dumps(document_row(document), ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
