"""OpenAI's messages."""

import json
from typing import Any

import pytest

from lai.host.errors import UserError

TEXT = {"type": "text", "text": "a"}


def row(content: Any) -> str:
    messages = [{"role": "user", "content": content}, {"role": "assistant", "content": "x"}]
    return json.dumps({"messages": messages}) + "\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([TEXT], "a"),
        ([TEXT, {"type": "text", "text": "b"}], "a\nb"),
        ([{"type": "input_text", "text": "a", "image_url": None}], "a"),
        (["a", "b"], "a\nb"),
        ([json.dumps(TEXT)], "a"),
        ('[{"type": "text"}]', '[{"type": "text"}]'),
    ],
)
def test_text_parts_are_joined_by_a_line_end(read, content: Any, expected: str) -> None:
    assert read("a.jsonl", row(content)) == [(1, f"<user>{expected}</user><assistant>x</assistant>")]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"type": "image_url", "image_url": {"url": "x"}}, "a part of the type 'image_url'"),
        ({"type": "image"}, "a part of the type 'image'"),
        ({"type": "text", "text": None}, "the part an object"),
        (7, "the part 7"),
    ],
)
def test_a_part_that_is_no_text_is_an_error_of_its_row(read, part: Any, message: str) -> None:
    with pytest.raises(UserError, match=rf"a\.jsonl:2: content holds {message}; expected parts of the type 'text'"):
        read("a.jsonl", row("q") + row([TEXT, part]))


def test_messages_as_json_texts_are_what_they_hold(read) -> None:
    messages = [{"role": "user", "content": "a", "name": "n"}, {"role": "assistant", "content": "{}"}]
    expected = [(1, "<user>a</user><assistant>{}</assistant>")]
    assert read("a.jsonl", json.dumps({"messages": json.dumps(messages)})) == expected
    assert read("a.jsonl", json.dumps({"messages": [json.dumps(message) for message in messages]})) == expected
