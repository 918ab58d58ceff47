"""TMX, the exchange format of translation memories: units with a variant a language.

The file is parsed as it is read. Entities cannot be declared in it, so none can expand or name another file.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.parsers import expat

from lai.data.sources.reading import NumberedDocument, RowReader
from lai.data.sources.streams import MAX_LINE, CorpusCounts, open_stream
from lai.host.errors import UserError
from lai.tokenizer.chat import translation_examples

NAME = "TMX"
_CHUNK = 1 << 16
_LANGUAGES = {"en": "en", "eng": "en", "english": "en", "hu": "hu", "hun": "hu", "hungarian": "hu", "magyar": "hu"}
# Elements that hold another program's markup, not text.
_MARKUP = ("bpt", "ept", "ph", "it", "ut")
_LINE_BREAK = re.compile(r"\s*\n\s*")


def read(path: Path, counts: CorpusCounts, rows: RowReader) -> Iterator[NumberedDocument]:
    """Both directions of each unit, with the number of its line; a unit that lacks a side is counted as skipped.

    Raises:
        UserError: the file is not well-formed XML, declares an entity, or has no unit with both languages.
    """
    units = _Units()
    parser = units.parser
    pairs = skipped = read = 0
    try:
        with open_stream(path, counts) as file:
            while True:
                chunk = file.read(_CHUNK)
                parser.Parse(chunk, not chunk)
                read += len(chunk)
                if units.size > MAX_LINE or read - parser.CurrentByteIndex > MAX_LINE:
                    raise UserError(
                        f"{path}:{parser.CurrentLineNumber}: found a segment or a tag of more than 64 MB; expected "
                        "sentences"
                    )
                for number, unit in units.take():
                    sides = [unit.get(language, "").encode() for language in ("en", "hu")]
                    if not all(sides):
                        skipped += 1
                        continue
                    pairs += 1
                    for document in translation_examples(*sides):
                        yield number, document
                if not chunk:
                    break
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise UserError(f"{path}:{error.lineno}: not TMX ({reason}); expected well-formed XML") from error
    except UserError:
        raise
    except (LookupError, ValueError) as error:  # the XML declaration names no encoding, or one of several bytes
        raise UserError(f"{path}: not TMX ({error}); expected UTF-8 or UTF-16") from error
    except _EntityError:
        raise UserError(
            f"{path}:{parser.CurrentLineNumber}: declares an entity; expected TMX without own entities, "
            "which could expand without limit"
        ) from None
    counts.skipped += skipped
    if not units.is_tmx:
        raise UserError(f"{path} is XML, but not TMX: it holds no <tmx>; expected a translation memory")
    if skipped and not pairs:
        found = ", ".join(sorted(units.languages)) or "none"
        raise UserError(f"{path} has no unit in both languages: found {found}; expected en and hu")


class _EntityError(Exception):
    """An entity is declared."""


class _Units:
    """The units of a file, gathered by the handlers of an XML parser."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._add_text
        self.parser.EntityDeclHandler = self._refuse_entity
        self.is_tmx = False
        self.languages: set[str] = set()
        self._done: list[tuple[int, dict[str, str]]] = []
        self._unit: dict[str, str] = {}
        self._line = 0
        self._language = ""
        self._text: list[str] | None = None  # of the open segment
        self.size = 0  # of its text, characters
        self._markup = 0  # depth of elements inside the segment whose text does not count

    def take(self) -> list[tuple[int, dict[str, str]]]:
        """The units that ended since the last call: the line of each, and its texts by language."""
        done, self._done = self._done, []
        return done

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        name = _local(name)
        if self._text is not None:
            self._markup += self._markup > 0 or name in _MARKUP
        elif name == "tmx":
            self.is_tmx = True
        elif name == "tu":
            self._unit, self._line = {}, self.parser.CurrentLineNumber
        elif name == "tuv":
            given = {_local(key).lower(): value for key, value in attributes.items()}.get("lang", "")
            self.languages.add(given)
            self._language = _LANGUAGES.get(re.split("[-_]", given.strip().lower())[0], "")
        elif name == "seg":
            self._text, self.size = [], 0

    def _end(self, name: str) -> None:
        name = _local(name)
        if self._text is not None and self._markup:
            self._markup -= 1
        elif self._text is not None and name == "seg":
            text = _LINE_BREAK.sub(" ", "".join(self._text)).strip()
            if self._language and text:
                self._unit.setdefault(self._language, text)  # of several variants, the first
            self._text = None
        elif name == "tu":
            self._done.append((self._line, self._unit))

    def _add_text(self, text: str) -> None:
        if self._text is not None and not self._markup:
            self._text.append(text)
            self.size += len(text)

    def _refuse_entity(self, *_: Any) -> None:
        raise _EntityError


def _local(name: str) -> str:
    """A name without its namespace's prefix."""
    return name.rpartition(":")[2]
