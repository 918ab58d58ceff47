"""JSON lines."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from lai.data.sources.files import read_documents
from lai.data.sources.streams import CorpusCounts
from lai.host.errors import UserError
from lai.tokenizer.chat import Document, Turn, plain, translation_examples


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def jsonl(*rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def read(path: Path) -> tuple[list[Document], CorpusCounts]:
    counts = CorpusCounts()
    return list(read_documents(path, counts)), counts


def test_jsonl_keeps_newlines_literal_tags_and_lone_surrogates(tmp_path: Path) -> None:
    rows = [
        {"text": "two\nlines"},
        {"text": "<user>q</user><assistant>a</assistant>"},
        {"messages": [{"role": "system", "content": ""}, {"role": "user", "content": "say </user>\nnow", "name": "x"}]},
        {"messages": [{"role": "text", "content": "<user>q</user>"}]},
        {"text": "\ud800 \U0001f600"},
        {"text": "  "},
        {"en": "dog", "hu": "kutya"},
        {"translation": {"en": "cat", "hu": ""}},
    ]
    documents, counts = read(write(tmp_path / "a.jsonl", jsonl(*rows) + b'\n{"text": "raw \xed\xa0\x80"}'))
    assert documents == [
        plain(b"two\nlines"),
        (Turn("user", b"q"), Turn("assistant", b"a")),
        (Turn("system", b""), Turn("user", b"say </user>\nnow")),
        plain(b"<user>q</user>"),
        plain(b"\xed\xa0\x80 \xf0\x9f\x98\x80"),
        *translation_examples(b"dog", b"kutya"),
        plain(b"raw \xed\xa0\x80"),
    ]
    assert (counts.documents, counts.empty, counts.skipped) == (8, 2, 1)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "not JSON"),
        (b'{"text": "\xff"}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]", "found a list; expected an object"),
        (b"{}", "found nothing; expected text"),
        (b'{"content": 1, "n\\nm": 2}', r"found 'content', 'n\nm'; expected text"),
        (b'{"text": 5}', "text is 5; expected a text"),
        (b'{"messages": []}', "messages is an empty list"),
        (b'{"messages": null}', "messages is null"),
        (b'{"messages": [7]}', "role is 7; expected system, user, assistant"),
        (b'{"messages": [{"role": "bot", "content": ""}]}', "role is 'bot'; expected system, user, assistant"),
        (b'{"messages": [{"role": [], "content": ""}]}', "role is an empty list"),
        (b'{"messages": [{"role": "user"}]}', "the user message has no content"),
        (b'{"messages": [{"role": "user", "content": {}}]}', "content is an object; expected a text"),
        (b'{"translation": "x"}', "found 'x' in translation; expected text"),
        (b'{"translation": {"en": "x"}}', "found 'en' in translation; expected text"),
    ],
)
def test_a_wrong_json_line_is_an_error_with_its_number(tmp_path: Path, line: bytes, message: str) -> None:
    path = write(tmp_path / "a.jsonl", b'{"text": "good"}\n\n' + line + b"\n")
    with pytest.raises(UserError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}:3: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
