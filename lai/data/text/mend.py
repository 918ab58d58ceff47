"""Mends what is wrong with a document and can be mended, and counts what was changed.

Each kind has one function of the modules beside this one; they run in the order in which damage is undone.
"""

import codecs
import re
from collections import Counter
from collections.abc import Callable, Sequence

from lai.data.text.characters import (
    HUNGARIAN_LETTERS,
    compose,
    drop_controls,
    drop_invisible,
    fold_blanks,
    fold_line_ends,
)
from lai.data.text.encoding import is_partly_mended, mend_encoding
from lai.data.text.entities import unescape
from lai.data.text.markup import mend_markup, without_signs
from lai.data.text.pairs import pair_faults, pair_of, unquoted
from lai.tokenizer.chat import TO_ENGLISH, TO_HUNGARIAN, Document, Turn

VERSION = 1
"""Of what is mended, for names of files that hold mended text."""

_STEPS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("HTML entities", unescape),
    ("NFD", compose),
    ("wrong encoding", mend_encoding),
    ("NFD", compose),
    ("invisible characters", drop_invisible),
    ("unusual blanks", fold_blanks),
    ("line ends", fold_line_ends),
    ("control characters", drop_controls),
)
# All characters that no step changes.
_SOUND = re.compile(f"[\\x20-\\x25\\x27-\\x7e\\t\\n{HUNGARIAN_LETTERS}„”“’‘–—…→•°×«»€]*")
_UNDECODED = "lai-cp1250"


def _read_as_cp1250(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("cp1250", "replace"), error.end


codecs.register_error(_UNDECODED, _read_as_cp1250)


def mend_text(text: str, counts: Counter[str] | None = None) -> str:
    """A text without damage; `counts` gets the kinds of what was changed."""
    if _SOUND.fullmatch(text):
        return text
    for kind, step in _STEPS:
        mended = step(text)
        if mended != text and counts is not None:
            counts[kind] += 1
            if step is mend_encoding and is_partly_mended(text, mended):
                counts["wrong encoding, mended only in part"] += 1
        text = mended
    return text


def mend_documents(documents: Sequence[Document], counts: Counter[str]) -> list[Document]:
    """Documents without damage: each turn's text, other programs' markup, and the sides of pairs."""
    mended = [_mend_turns(document, counts) for document in documents]
    pairs = [(index, pair) for index, document in enumerate(mended) if (pair := pair_of(document)) is not None]
    if pairs:
        faults = pair_faults([english for _, (english, _) in pairs], [hungarian for _, (_, hungarian) in pairs])
        for place, (index, _) in enumerate(pairs):
            if faults.quoted[place]:
                counts["quoted fields"] += 1
                mended[index] = _without_quotes(mended[index])
            if faults.swapped[place]:
                counts["swapped sides"] += 1
                mended[index] = swap_pair(mended[index])
    return mended


def _mend_turns(document: Document, counts: Counter[str]) -> Document:
    document = tuple(Turn(turn.role, _mend_bytes(turn.content, counts)) for turn in document)
    if len(document) == 1 and document[0].role == "text":
        return _mend_markup(document, counts)
    if any(b"<" in turn.content or b"[" in turn.content for turn in document):
        document = tuple(_without_signs(turn, counts) for turn in document)
    return document


def _mend_bytes(content: bytes, counts: Counter[str]) -> bytes:
    if content.isascii() and b"&" not in content and _SOUND.fullmatch(content.decode()):
        return content
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = content.decode("utf-8", _UNDECODED)
        counts["invalid UTF-8"] += 1
    return mend_text(text, counts).encode()


def _mend_markup(document: Document, counts: Counter[str]) -> Document:
    mended = mend_markup(document[0].content.decode())
    if mended is None:
        return document
    counts["other programs' markup"] += 1
    return mended


def _without_signs(turn: Turn, counts: Counter[str]) -> Turn:
    text = turn.content.decode()
    mended = without_signs(text)
    if mended == text:
        return turn
    counts["other programs' markup"] += 1
    return Turn(turn.role, mended.encode())


def _without_quotes(document: Document) -> Document:
    request = TO_HUNGARIAN if document[0].content.startswith(TO_HUNGARIAN) else TO_ENGLISH
    question, answer = document[0].content.removeprefix(request), document[1].content
    said, answered = (unquoted(side.decode()).encode() for side in (question, answer))
    return (Turn("user", request + said), Turn("assistant", answered))


def swap_pair(document: Document) -> Document:
    """A translation with the other request: its file has the languages in the other order; other documents as is."""
    if len(document) == 2 and document[0].role == "user":
        for request, other in ((TO_ENGLISH, TO_HUNGARIAN), (TO_HUNGARIAN, TO_ENGLISH)):
            if document[0].content.startswith(request):
                return (Turn("user", other + document[0].content.removeprefix(request)), document[1])
    return document
