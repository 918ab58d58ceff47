"""Documents of texts and chats in a token file, and which of their tokens count with `data.loss_on=answers`."""

import random
from collections.abc import Sequence
from pathlib import Path

from lai.data.tokens.token_file import TokenFile, TokenWriter, encode_documents
from lai.tokenizer.chat import Document, Turn, plain
from lai.tokenizer.vocab import Vocab

WORDS = [b"dog", b" kutya", b" apples", b"\xc5\x91", b" <assistant>", b".", b" 7"]


def truth(document: Document, vocab: Vocab) -> list[tuple[int, bool]]:
    """Each token of a document and whether it counts, put together turn by turn."""
    found = [(Vocab.BOS, False)]
    for turn in document:
        said = turn.role in ("text", "assistant")
        content = [(token, said) for token in vocab.encode_text(turn.content)]
        if turn.role == "text":
            return [*found, *content, (Vocab.EOS, True)]
        opening, closing = (vocab.tag_id(f"<{slash}{turn.role}>".encode()) for slash in ("", "/"))
        found += [(opening, False), *content, (closing, said)]
    return [*found, (Vocab.EOS, False)]


def write_documents(path: Path, documents: Sequence[Document], vocab: Vocab) -> TokenFile:
    """A token file of these documents."""
    with TokenWriter(path, "uint16") as writer:
        writer.add(*encode_documents(documents, vocab), 0)
    return TokenFile(path, "uint16")


def mixed_documents(count: int, seed: int = 0) -> list[Document]:
    """Texts and chats of one to three exchanges, some with a system turn, an empty answer or a very long one."""
    drawn = random.Random(seed)

    def words(most: int) -> bytes:
        return b"".join(drawn.choices(WORDS, k=drawn.randint(0, most)))

    documents: list[Document] = []
    for number in range(count):
        if number % 3 == 0:
            documents.append(plain(b"The" + words(30)))
            continue
        turns = [Turn("system", words(5))] if number % 5 == 0 else []
        for _ in range(drawn.randint(1, 3)):
            turns += [Turn("user", words(8)), Turn("assistant", words(400 if number % 11 == 0 else 8))]
        documents.append(tuple(turns))
    return documents
