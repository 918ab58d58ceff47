"""Documents to rows and back."""

import json

import pytest

from lai.data.sources.rows import row_documents
from lai.data.sources.serialize import document_row
from lai.tokenizer.chat import Document, Turn, plain


@pytest.mark.parametrize(
    "document",
    [
        plain(b"text"),
        plain(b"<user>q</user>"),
        plain(b"<user>open"),
        plain(b"\xed\xa0\x80"),
        (Turn("user", b"a</user><assistant>b"), Turn("assistant", b"\n")),
    ],
)
def test_a_document_survives_its_row(document: Document) -> None:
    assert row_documents(json.loads(json.dumps(document_row(document)))) == [document]
