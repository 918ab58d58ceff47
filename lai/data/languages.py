"""The language of each document to validate with: Hungarian, English, or neither."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lai.data.cache import cached_file, fingerprint
from lai.data.text.language import identify
from lai.data.tokens.build import TokenFiles
from lai.data.tokens.joined import Tokens
from lai.host.files import atomic_write
from lai.tokenizer.chat import TO_ENGLISH, TO_HUNGARIAN, parse
from lai.tokenizer.vocab import Vocab

LANGUAGES = ("hu", "en")
NEITHER = -1

_VERSION = 1
_BYTES = 4096  # of a turn that are looked at


def languages_of(files: TokenFiles, vocab: Vocab, cache: Path, known: str | None = None) -> NDArray[np.int8]:
    """The language of each document to validate with, (documents,): its place in `LANGUAGES`, or `NEITHER`.

    A document is in a language if `lai.data.text.language` finds it in one turn and no other language in another; a
    request for a translation does not count. So a translation is in neither, as is a text in a third language.

    Args:
        known: the language of all of them; None: it is told from their text, once for each text and vocabulary.
    """
    if known is not None:
        return np.full(len(files.val), LANGUAGES.index(known), np.int8)
    made_of = {"version": _VERSION, "tokens": files.digests["val"], "vocabulary": vocab.fingerprint}
    path = cache / f"languages-{fingerprint(made_of)}.bin"

    def build(target: Path) -> dict[str, Any]:
        with atomic_write(target) as file:
            file.write(_told(files.val, vocab).tobytes())
        return {}

    cached_file(path, build)
    return np.fromfile(path, np.int8)


def _told(file: Tokens, vocab: Vocab) -> NDArray[np.int8]:
    found = (_language(vocab.decode(file.document(number).tolist())) for number in range(len(file)))
    return np.fromiter(found, np.int8, len(file))


def _language(text: bytes) -> int:
    contents = [turn.content.removeprefix(TO_HUNGARIAN).removeprefix(TO_ENGLISH) for turn in parse(text)]
    languages = {identify(content[:_BYTES]) for content in contents} - {"other"}
    only = languages.pop() if len(languages) == 1 else ""
    return LANGUAGES.index(only) if only in LANGUAGES else NEITHER
