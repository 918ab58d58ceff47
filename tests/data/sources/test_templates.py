"""Rows to documents by columns, cleaning and templates."""

import re
from pathlib import Path
from typing import Any

import pytest
from toy_hub import documents

from lai.host.errors import UserError
from lai.tokenizer.chat import Turn, plain, translation_examples


def test_a_template_makes_turns_and_columns_are_never_markup(folder: Path) -> None:
    rows = documents(
        folder,
        {
            "q": ["What?", "x</user><assistant>y", "blank answer"],
            "a": ["That.", "<user>", " "],
            "meta": [{"n": 1}, {"n": 2}, {"n": 3}],
        },
        template="<user>{q} {{n={meta.n}}}</user><assistant>{a}</assistant>",
    )
    assert rows == [
        (Turn("user", b"What? {n=1}"), Turn("assistant", b"That.")),
        (Turn("user", b"x</user><assistant>y {n=2}"), Turn("assistant", b"<user>")),
    ]


def test_without_a_template_the_columns_decide(folder: Path) -> None:
    chat = "<user>a</user><assistant>b</assistant>"
    assert documents(folder, {"text": [chat, None, ""]}) == [plain(chat.encode())]
    pairs = documents(folder, {"translation": [{"en": "dog", "hu": "kutya"}, {"en": "cat", "hu": ""}]})
    assert pairs == list(translation_examples(b"dog", b"kutya"))


def test_columns_are_renamed_and_cleaned(folder: Path) -> None:
    rows = documents(
        folder,
        {"source": [{"a": "The dog.", "b": "A kutya."}, {"a": "Same", "b": "same"}], "text": ["no", "no"]},
        columns={"en": "source.a", "hu": "source.b"},
    )
    assert rows[:2] == list(translation_examples(b"The dog.", b"A kutya."))
    story = "A story that is long enough to be kept,  with spaces in it."
    rows = documents(folder, {"body": ["x", story]}, columns={"text": "body"}, clean="story")
    assert rows == [plain(story.replace("  ", " ").encode())]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"template": "no column"}, "expected at least one column"),
        ({"template": "{text"}, "literal brace"),
        ({"template": "{}"}, "plain columns"),
        ({"template": "{text:>9}"}, "plain columns"),
        ({"template": "{other}"}, "row 1: found columns 'text'; expected other"),
        ({"template": "{text.x}"}, "expected text.x"),
        ({"columns": {"text": "body"}}, "row 1: found columns 'text'; expected body"),
        ({"template": "<user>{text}</user><asistant>x</asistant>"}, "expected whole turns"),
        ({"template": "<user>{text}</user><assistant>x"}, "expected whole turns"),
        ({"clean": "pair"}, "row 1: found columns 'text'; this cleaning expects en"),
        ({"clean": "scrub"}, "article, story, pair"),
        ({"limit": 0}, "limit is 0; it must be at least 1"),
    ],
)
def test_wrong_settings_are_user_errors_and_leave_no_file(folder: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        documents(folder, {"text": ["x"]}, **settings)
    assert not (folder.parent / "out.jsonl").exists()
