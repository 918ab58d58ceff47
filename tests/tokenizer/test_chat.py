"""What counts as markup, and what stays a person's text."""

import pytest

from lai.tokenizer.chat import (
    Turn,
    has_stray_tags,
    parse,
    parse_line,
    plain,
    render,
    split_key,
    to_line,
    translation_examples,
)


@pytest.mark.parametrize(
    ("text", "turns"),
    [
        (b"<user>a</user>", [("user", b"a")]),
        (b"<user></user><assistant>b</assistant>", [("user", b""), ("assistant", b"b")]),
        (
            b" <system>s</system> \n<user>a\nb</user>\t<assistant>c < d</assistant> ",
            [("system", b"s"), ("user", b"a\nb"), ("assistant", b"c < d")],
        ),
    ],
)
def test_a_text_of_whole_turns_is_an_example(text, turns):
    assert parse(text) == tuple(Turn(role, content) for role, content in turns)
    assert parse(render(parse(text))) == parse(text)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"no tags",
        b"before <user>a</user>",
        b"<user>a</user> after",
        b"<user>a",
        b"<user>a</assistant>",
        b"<user>a<user>b</user>",
        b"<user>a</user><assistant>say <user></assistant>",
        b"<USER>a</USER>",
        b"<user >a</user >",
        b"</user>",
        b"<other>a</other>",
    ],
)
def test_anything_but_whole_turns_is_plain_text(text):
    assert parse(text) == plain(text)
    assert render(parse(text)) == text


def test_a_tag_in_plain_text_is_stray():
    assert has_stray_tags(parse(b"type <user> here"))
    assert not has_stray_tags(parse(b"<user>a</user>"))


def test_both_directions_of_a_pair_have_the_same_split_key():
    to_hungarian, to_english = translation_examples(b"a dog", b"egy kutya")
    assert render(to_hungarian) == b"<user>Translate to Hungarian: a dog</user><assistant>egy kutya</assistant>"
    assert render(to_english) == b"<user>Translate to English: egy kutya</user><assistant>a dog</assistant>"
    assert split_key(to_hungarian) == split_key(to_english)
    assert split_key(to_hungarian) == split_key(parse(render(to_hungarian)))
    assert split_key(to_hungarian) != split_key(translation_examples(b"a cat", b"egy kutya")[0])


def test_line_ends_inside_a_document_survive_a_text_file() -> None:
    document = (Turn("user", b"one\ntwo"), Turn("assistant", b"\n"))
    line = to_line(document)
    assert b"\n" not in line and line.decode().count("\u2028") == 2
    assert parse_line(line) == document
    assert parse_line(to_line(plain(b"a\n\nb"))) == plain(b"a\n\nb")
