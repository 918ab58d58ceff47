"""Damage to single texts, each kind found by what `lai.data.text` would mend."""

from collections import Counter
from collections.abc import Iterator, Sequence

from lai.data.quality.suspects import (
    BLANK,
    CARRIAGE_RETURN,
    ENTITY,
    FOREIGN,
    INVISIBLE_BIT,
    LOST,
    MARKUP,
    PIECE,
    Suspects,
)
from lai.data.text.characters import compose, drop_invisible, fold_blanks
from lai.data.text.encoding import is_partly_mended, mend_encoding, mend_tildes
from lai.data.text.entities import unescape
from lai.data.text.markup import NAMES, markup_names
from lai.tokenizer.chat import parse_line

Texts = Sequence[bytes]
TILDES, MOJIBAKE, ENTITIES, OTHER_MARKUP = "õ and û for ő and ű", "mojibake", "HTML entities", "other programs' markup"


def damaged_texts(
    texts: Texts, joined: bytes, suspects: Suspects, names: Counter[str]
) -> Iterator[tuple[str, list[int]]]:
    """Each check's name, and the indices of the texts with its fault.

    Args:
        joined: all texts.
        names: gets the kinds of markup.
    """

    def among(bits: int) -> Iterator[tuple[int, str]]:
        return ((index, texts[index].decode("utf-8", "replace")) for index in suspects.texts(bits))

    tildes: list[int] = []
    mojibake: list[int] = []
    partly: list[int] = []
    for index in suspects.texts(FOREIGN):
        for turn in parse_line(texts[index]):
            said = turn.content.decode("utf-8", "replace")
            mended = mend_encoding(said)
            if mended != said:
                (tildes if mended == mend_tildes(said) else mojibake).append(index)
                if is_partly_mended(said, mended):
                    partly.append(index)
                break
    yield TILDES, tildes
    yield MOJIBAKE, mojibake
    yield "mojibake beyond repair", partly
    yield "lost characters", suspects.texts(LOST)
    yield "NFD", [index for index, text in among(PIECE) if compose(text) != text]
    yield "invisible characters", [index for index, text in among(INVISIBLE_BIT) if drop_invisible(text) != text]
    yield "unusual blanks", [index for index, text in among(BLANK) if fold_blanks(text) != text]
    yield ENTITIES, [index for index, text in among(ENTITY) if unescape(text) != text]
    marked = dict(among(MARKUP)) | _dialogues(texts, joined)
    found = []
    for index in sorted(marked):
        if kinds := markup_names(marked[index]):
            names.update(kinds)
            found.append(index)
    yield OTHER_MARKUP, found
    yield "old Mac line ends", suspects.texts(CARRIAGE_RETURN)


def _dialogues(texts: Texts, joined: bytes) -> dict[int, str]:
    """The texts that may be a conversation by names alone (`USER: … ASSISTANT: …`)."""
    there = [name for name in map(str.encode, NAMES) if name in joined]
    if not there or not any(name in joined for name in (b"USER: ", b"User: ", b"HUMAN: ", b"Human: ")):
        return {}
    return {
        index: text.decode("utf-8", "replace")
        for index, text in enumerate(texts)
        if any(name in text for name in there)
    }
