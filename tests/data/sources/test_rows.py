"""Rows to documents, by the columns that they have."""

from typing import Any

import pytest

from lai.data.sources.rows import row_documents
from lai.host.errors import UserError
from lai.tokenizer.chat import Turn, plain, translation_examples

PAIR = translation_examples(b"dog", b"kutya")


@pytest.mark.parametrize(
    ("row", "documents"),
    [
        ({"text": "<user>a</user><assistant>b</assistant>"}, [(Turn("user", b"a"), Turn("assistant", b"b"))]),
        ({"messages": [{"role": "user", "content": "<user>"}], "text": "no"}, [(Turn("user", b"<user>"),)]),
        ({"messages": [{"role": "text", "content": "<user>a</user>"}]}, [plain(b"<user>a</user>")]),
        ({"translation": {"en": "dog", "hu": "kutya"}, "en": "no", "hu": "no"}, PAIR),
        ({"en": "dog", "hu": "kutya"}, PAIR),
        ({"en": "dog", "hu": " "}, []),
        ({"translation": None}, []),
    ],
)
def test_the_first_known_column_decides(row: dict[str, Any], documents: list[Any]) -> None:
    assert list(row_documents(row)) == list(documents)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"body": "x"}, "found 'body'; expected text, messages"),
        ({"text": 3}, "text is 3; expected a text"),
        ({"messages": []}, "messages is an empty list"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "a message's role is 'robot'"),
        ({"messages": [{"role": "user"}]}, "the user message has no content"),
    ],
)
def test_a_row_that_is_no_document_says_what_was_found(row: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        row_documents(row)
