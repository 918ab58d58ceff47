"""Rows (JSON objects, Parquet rows) to documents, by the columns that a row has."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lai.data.sources.streams import CorpusCounts
from lai.host.errors import UserError
from lai.tokenizer.chat import ROLES, Document, Turn, parse, plain, translation_examples

ROW_COLUMNS = ("messages", "text", "translation", "en", "hu")


def row_documents(row: Mapping[str, Any]) -> Sequence[Document]:
    """The documents of one row: none where a pair lacks a side.

    The first of these columns that the row has decides: `messages`, a list of `{"role", "content"}` whose contents are
    never markup; `text`, which may hold markup; `translation`, an object with `en` and `hu`; or `en` and `hu`
    themselves. A single message with the role "text" is plain text, never markup.

    Raises:
        UserError: the row has none of them, or one of another type; the message says what was found and expected.
    """
    if "messages" in row:
        return [_conversation(row["messages"])]
    if "text" in row:
        return [parse(_to_bytes("text", row["text"]))]
    pair = row.get("translation", row)
    if pair is None:
        return ()
    if not isinstance(pair, Mapping) or not {"en", "hu"} <= pair.keys():
        names = ", ".join(map(repr, list(pair)[:8])) if isinstance(pair, Mapping) else describe(pair)
        inside = " in translation" if "translation" in row else ""
        raise UserError(f"found {names or 'nothing'}{inside}; expected text, messages, en and hu, or translation")
    english, hungarian = (_to_bytes(side, pair[side]) for side in ("en", "hu"))
    return translation_examples(english, hungarian) if english.strip() and hungarian.strip() else ()


def documents_of_row(where: str, row: Mapping[str, Any], counts: CorpusCounts) -> Iterator[Document]:
    try:
        documents = row_documents(row)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    if not documents:
        counts.skipped += 1
    for document in documents:
        if all(not turn.content.strip() for turn in document):
            counts.empty += 1
        else:
            yield document


def _conversation(messages: Any) -> Document:
    if not isinstance(messages, list) or not messages:
        raise UserError(f"messages is {describe(messages)}; expected a list of at least one {{role, content}}")
    if len(messages) == 1 and isinstance(messages[0], Mapping) and messages[0].get("role") == "text":
        return plain(_to_bytes("content", messages[0].get("content")))
    turns = []
    for message in messages:
        if not isinstance(message, Mapping) or message.get("role") not in ROLES:
            found = message.get("role") if isinstance(message, Mapping) else message
            raise UserError(f"a message's role is {describe(found)}; expected {', '.join(ROLES)}")
        if message.get("content") is None:
            raise UserError(f"the {message['role']} message has no content; expected a text")
        turns.append(Turn(message["role"], _to_bytes("content", message["content"])))
    return tuple(turns)


def _to_bytes(name: str, value: Any) -> bytes:
    """A text's bytes; a missing one is empty."""
    if value is None:
        return b""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, bytes):
        return value
    raise UserError(f"{name} is {describe(value)}; expected a text")


def describe(value: Any) -> str:
    """An unexpected JSON value, described for an error message."""
    match value:
        case None:
            return "null"
        case dict():
            return "an object"
        case []:
            return "an empty list"
        case list():
            return "a list"
        case _:
            return repr(value)[:40]
