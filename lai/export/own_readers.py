"""What GGUF files and Hugging Face folders answer by their own content: proof where the other program is missing.

They read what is in the files, not what was meant to be: the tokenizers here follow llama.cpp's and tokenizers' rules,
the weights are those of `lai.export.reading`. They are written for clarity; a text of n characters takes n² steps.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from lai.export.agreement import Answers, Questions, predictions
from lai.export.gguf_vocab import BYTE, CONTROL, UNKNOWN
from lai.export.reading.gguf_content import read_content
from lai.export.reading.gguf_model import read_gguf_model
from lai.export.reading.huggingface_model import read_huggingface_model
from lai.export.reading.stored import StoredModel
from lai.tokenizer.bpe import WORD_MARK

Encode = Callable[[str], list[int]]


def read_gguf(path: Path, questions: Questions) -> Answers:
    """The answers by a GGUF file's own content."""
    model = read_gguf_model(path)
    with path.open("rb") as file:
        values = read_content(file, str(path)).values
    names, kinds = values["tokenizer.ggml.tokens"], values["tokenizer.ggml.token_type"].tolist()
    pieces = _Pieces(names, [kind in (CONTROL, UNKNOWN) for kind in kinds])
    pieces.bytes = {int(name[3:5], 16): n for n, name in enumerate(names) if kinds[n] == BYTE}
    scores = values["tokenizer.ggml.scores"].tolist()

    def priority(left: str, right: str) -> float | None:
        index = pieces.ids.get(left + right)
        return None if index is None else -scores[index]

    def encode(text: str) -> list[int]:
        return pieces.encode(text.replace(" ", WORD_MARK), priority)

    return _answers(questions, encode, pieces, model)


def read_huggingface(path: Path, questions: Questions) -> Answers:
    """The answers by a folder's own content."""
    model = read_huggingface_model(path)
    content = json.loads((path / "tokenizer.json").read_text(encoding="utf-8"))
    names = sorted(content["model"]["vocab"], key=content["model"]["vocab"].get)
    special = {token["id"] for token in content["added_tokens"]}
    pieces = _Pieces(names, [index in special for index in range(len(names))])
    pieces.bytes = {byte: pieces.ids[name] for byte in range(256) if (name := f"<0x{byte:02X}>") in pieces.ids}
    ranks = {(left, right): rank for rank, (left, right) in enumerate(content["model"]["merges"])}

    def encode(text: str) -> list[int]:
        return pieces.encode(text, lambda left, right: ranks.get((left, right)))

    return _answers(questions, encode, pieces, model)


class _Pieces:
    """Names of tokens, and the merging of a text's characters to them."""

    def __init__(self, names: Sequence[str], is_special: Sequence[bool]) -> None:
        self.ids = {name: index for index, name in enumerate(names)}
        self.special = {name: index for name, index in self.ids.items() if is_special[index]}
        self.bytes: dict[int, int] = {}

    def encode(self, text: str, priority: Callable[[str, str], float | None]) -> list[int]:
        """Join the two neighbours of the lowest priority, the leftmost of equals, until no two have one."""
        pieces = list(text)
        while True:
            found = [
                (rank, place)
                for place in range(len(pieces) - 1)
                if (rank := priority(pieces[place], pieces[place + 1])) is not None
            ]
            if not found:
                break
            _, place = min(found)
            pieces[place : place + 2] = [pieces[place] + pieces[place + 1]]
        return [index for piece in pieces for index in self._ids_of(piece)]

    def _ids_of(self, piece: str) -> list[int]:
        if piece in self.ids:
            return [self.ids[piece]]
        return [self.bytes[byte] for byte in piece.encode()]


def _answers(questions: Questions, encode: Encode, pieces: _Pieces, model: StoredModel) -> Answers:
    special = pieces.special

    def encode_chat(chat: Sequence[tuple[str, str]]) -> list[int]:
        ids = [special["<bos>"]]
        for role, text in chat:
            ids += [special[f"<{role}>"], *encode(text), special[f"</{role}>"]]
        return [*ids, special["<assistant>"]]

    return Answers(
        "LAi's own reader",
        [encode(text) for text in questions.texts],
        [encode_chat(chat) for chat in questions.chats],
        predictions(model.build(), questions.prefixes),
    )
