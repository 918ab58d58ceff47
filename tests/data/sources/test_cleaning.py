"""Cleaning of real rows, against texts written by hand."""

import pytest

from lai.data.sources.cleaning import clean_article, clean_pair, clean_story, tidy
from lai.host.errors import UserError

LONG = "A ló háziasított állat. " * 20


def test_an_article_ends_at_its_notes_and_keeps_its_paragraphs() -> None:
    said = "A ló ( )  [2] (; ) régi  társ {{jegyzet|x}}.\n{| class\n| cella\n|}"
    text = f"{LONG}\n\n\n\n{said}\n\nForrások\n\nEgy könyv."
    cleaned = clean_article({"id": "1", "title": " Ló ", "text": text})
    assert cleaned == {"id": "1", "title": "Ló", "text": f"{LONG.strip()}\n\nA ló régi társ ."}


@pytest.mark.parametrize("text", ["", "Rövid.", "Jegyzetek\n" + LONG])
def test_a_stub_is_dropped(text: str) -> None:
    assert clean_article({"title": "x", "text": text}) is None
    assert clean_article({"title": "x", "text": None}) is None


def test_a_heading_inside_a_sentence_does_not_end_an_article() -> None:
    text = LONG + "Jegyzetek készültek a lovakról."
    assert clean_article({"title": "Ló", "text": text}) == {"title": "Ló", "text": text}


def test_wrongly_decoded_quotation_marks_of_a_story_are_mended() -> None:
    """Each sign's three bytes, read one by one; the five that Windows-1252 lacks stay control characters."""
    story = "“Hello” said the cat – it’s a long day… and ‘more’ — of it, my dear friend ”"

    def misread(character: str) -> str:
        if character.isascii():
            return character
        first, second, third = character.encode()
        decoded = bytes([first, second]).decode("cp1252")
        try:
            return decoded + bytes([third]).decode("cp1252")
        except UnicodeDecodeError:
            return decoded + chr(third)

    broken = "".join(map(misread, story))
    assert "â€œHello" in broken and "â€\x9d" in broken
    assert clean_story({"text": broken}) == {"text": story}
    assert clean_story({"text": story + " â€ is how they end"}) == {"text": story + " ” is how they end"}
    assert clean_story({"text": story + " â€œGood night!â€"}) == {"text": story + " “Good night!”"}
    assert clean_story({"text": "Too short."}) is None


def test_a_row_without_the_column_is_a_user_error() -> None:
    for clean, columns in ((clean_article, "title"), (clean_story, "text"), (clean_pair, "en")):
        with pytest.raises(UserError, match=f"found columns 'body'; this cleaning expects {columns}|expects text"):
            clean({"body": "x"})


@pytest.mark.parametrize(
    ("english", "hungarian", "kept"),
    [
        ("The dog.", "A kutya.", ("The dog.", "A kutya.")),
        ("- The  dog.\n", "- A kutya.", ("The dog.", "A kutya.")),
        ("- The dog.", "A kutya.", ("- The dog.", "A kutya.")),
        ("No", "Nem, nem, köszönöm", ("No", "Nem, nem, köszönöm")),
        ("Hello", "hello", None),
        ("The dog.", "", None),
        ("123", "123.", None),
        ("Yes", "Igen, de csak akkor, ha holnap is itt leszel velem", None),
        ("a" * 1001, "b" * 1001, None),
    ],
)
def test_unlikely_pairs_are_dropped(english: str, hungarian: str, kept: tuple[str, str] | None) -> None:
    cleaned = clean_pair({"translation": {"en": english, "hu": hungarian}})
    assert cleaned == (None if kept is None else {"translation": {"en": kept[0], "hu": kept[1]}})
    # Two columns stay two columns, for the template to name, and others beside them stay too.
    cleaned = clean_pair({"en": english, "hu": hungarian, "id": 7})
    assert cleaned == (None if kept is None else {"en": kept[0], "hu": kept[1], "id": 7})


def test_tidying_makes_one_form_of_a_letter() -> None:
    assert tidy(" Lo\u0301 \r\n\r\n\r\n és\tmás\u00a0ló \n") == "Ló\n\nés más ló"
