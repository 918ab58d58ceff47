"""Chat markup: documents, and reading and writing their text form.

A document is a sequence of turns. Plain text is one turn with the role "text"; an example has turns with the roles
"system", "user" and "assistant", written inline as `<user>…</user><assistant>…</assistant>`.

A text is a chat example only if it consists entirely of complete turns (white space between turns is dropped) and no
turn's content contains a chat tag. Any other text is plain text. A tag in it is literal text: it is never encoded as
the tag's token.
"""

import re
from typing import Literal, NamedTuple

Role = Literal["text", "system", "user", "assistant"]
ROLES: tuple[Role, ...] = ("system", "user", "assistant")
CHAT_TAGS: tuple[bytes, ...] = tuple(f"<{slash}{role}>".encode() for role in ROLES for slash in ("", "/"))

# How a translation is requested. The generator, `.tsv` pairs, generation in Python and the C++ engine
# (cpp/text/prompts.hpp) use the same words.
TO_HUNGARIAN = b"Translate to Hungarian: "
TO_ENGLISH = b"Translate to English: "

# In a text file a document is a line; a line's end inside a document is written as Unicode's LINE SEPARATOR, U+2028.
LINE_SEPARATOR = "\u2028".encode()

_FORMS = {"text": b"%b"} | {role: f"<{role}>%b</{role}>".encode() for role in ROLES}
_ANY_TAG = re.compile(rb"</?(?:system|user|assistant)>")
_TURN = re.compile(rb"\s*<(system|user|assistant)>(.*?)</\1>", re.DOTALL)


class Turn(NamedTuple):
    """One part of a document: its role, and the bytes of its text without the tags."""

    role: Role
    content: bytes


Document = tuple[Turn, ...]


def plain(text: bytes) -> Document:
    """`text` as a plain document: tags in it are literal text."""
    return (Turn("text", text),)


def parse(text: bytes) -> Document:
    """Read a document's text form; see the module's text for what counts as markup."""
    if not text.lstrip().startswith(b"<"):
        return plain(text)
    turns: list[Turn] = []
    position = 0
    while match := _TURN.match(text, position):
        if _ANY_TAG.search(match[2]):
            return plain(text)
        turns.append(Turn(match[1].decode(), match[2]))  # type: ignore[arg-type]
        position = match.end()
    if not turns or text[position:].strip():
        return plain(text)
    return tuple(turns)


def has_stray_tags(document: Document) -> bool:
    """Whether a document's text contains chat tags that are not markup."""
    return any(_ANY_TAG.search(turn.content) for turn in document)


def is_whole(document: Document) -> bool:
    """Whether a document is plain text or a whole conversation.

    That is a system turn or none, then user and assistant in turn, the user first and the assistant last.
    """
    if document[0].role == "text":
        return True
    turns = document[document[0].role == "system" :]
    return len(turns) > 0 and tuple(turn.role for turn in turns) == ("user", "assistant") * (len(turns) // 2)


def user_turns(document: Document) -> int:
    """The number of the document's user turns."""
    return sum(turn.role == "user" for turn in document)


def render(document: Document) -> bytes:
    """The text form of a document: the reverse of `parse` for examples, the text itself for plain text."""
    if len(document) == 1 and document[0].role == "text":
        return document[0].content
    pieces = [_FORMS[turn.role] % turn.content for turn in document]
    return pieces[0] + pieces[1] if len(pieces) == 2 else b"".join(pieces)


def to_line(document: Document) -> bytes:
    """A document's text form on one line, as `.txt` files hold it; `parse_line` reads it."""
    return render(document).replace(b"\n", LINE_SEPARATOR)


def parse_line(line: bytes) -> Document:
    """Read a line of a `.txt` file."""
    return parse(line.replace(LINE_SEPARATOR, b"\n"))


def translation_examples(english: bytes, hungarian: bytes) -> tuple[Document, Document]:
    """The two examples of a translation pair: English to Hungarian, Hungarian to English."""
    return (
        (Turn("user", TO_HUNGARIAN + english), Turn("assistant", hungarian)),
        (Turn("user", TO_ENGLISH + hungarian), Turn("assistant", english)),
    )


def split_key(document: Document) -> bytes:
    """The key of the train/validation split: the content, equal for both directions of a translation.

    So exact duplicates, and both directions of a pair, are in the same split.
    """
    match document:
        case (Turn("text", text),):
            return text
        case (Turn("user", question), Turn("assistant", answer)):
            if question.startswith(TO_HUNGARIAN):
                return question.removeprefix(TO_HUNGARIAN) + b"\t" + answer
            if question.startswith(TO_ENGLISH):
                return answer + b"\t" + question.removeprefix(TO_ENGLISH)
    return render(document)
