"""Rows (JSON objects, Parquet rows, lines of a table) to documents, by the columns that a row has."""

from collections.abc import Mapping, Sequence
from typing import Any

from lai.data.sources.formats import alpaca, messages, pairs, sharegpt
from lai.data.sources.values import column_names, to_bytes
from lai.host.errors import UserError
from lai.tokenizer.chat import Document, parse

ROW_COLUMNS = ("messages", "text", "translation", "en", "hu")
"""The columns that decide what a row is if it has any of them."""
OTHER_COLUMNS = tuple(dict.fromkeys((*sharegpt.COLUMNS, *alpaca.COLUMNS, *pairs.COLUMNS)))

EXPECTED = "text, messages, conversations (ShareGPT), instruction and output (Alpaca), translation, or en and hu"
_MAPPING = "map others by data.columns or data.template (data=hub: data.hub.columns, data.hub.template)"


def shape_of(row: Mapping[str, Any]) -> str | None:
    """The name of a row's shape; None for an unknown one."""
    if messages.matches(row):
        return sharegpt.NAME if sharegpt.matches({"messages": row["messages"]}) else messages.NAME
    if "text" in row:
        return "text"
    if "translation" in row or {"en", "hu"} <= row.keys():
        return pairs.NAME
    return next((format.NAME for format in (sharegpt, alpaca, pairs) if format.matches(row)), None)


def row_documents(row: Mapping[str, Any]) -> Sequence[Document]:
    """The documents of one row: none where a side of a pair or a turn of ShareGPT or Alpaca is blank.

    The first of these that the row has decides: `messages`, whose contents are never markup; `text`, which may hold
    markup; `translation` or `en` and `hu`; `conversations` of ShareGPT; `instruction` of Alpaca; English and Hungarian
    under other names.

    Raises:
        UserError: the row has none of them, or one of another type; the message says what was found and expected.
    """
    match shape_of(row):
        case messages.NAME:
            return [messages.document(row)]
        case "text":
            return [parse(to_bytes("text", row["text"]))]
        case pairs.NAME:
            return pairs.documents(row)
        case sharegpt.NAME:
            return sharegpt.documents(row)
        case alpaca.NAME:
            return alpaca.documents(row)
    raise UserError(f"found {column_names(row)}; expected {EXPECTED}; {_MAPPING}")
