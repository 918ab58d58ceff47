"""HTML entities: `&amp;`, `&#337;`, `&#x151;`, also as a tokenizer takes them apart (`& quot ;`)."""

import html
import re

ENTITY = re.compile(r"&(?:#[0-9]{2,7}|#[xX][0-9a-fA-F]{2,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_APART = re.compile(r"& ?(#) ?([0-9]{2,7}) ;|& (amp|quot|apos|lt|gt|nbsp) ;")
_MAX_TIMES = 3  # that a text was escaped


def unescape(text: str) -> str:
    """The text with the characters that its entities stand for; names that HTML does not know stay as they are."""
    for _ in range(_MAX_TIMES):
        before = text
        if "&" in text:
            text = _APART.sub(lambda found: f"&{found[1] or ''}{found[2] or found[3]};", text)
            text = ENTITY.sub(lambda found: html.unescape(found[0]), text)
        if text == before:
            break
    return text
