"""A batch for a person: its tokens, which of them count as targets, and where rows and documents end."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.console import Console
from rich.markup import escape
from rich.text import Text
from torch import Tensor

from lai.data.tokens.batches import PADDING_DOCUMENT
from lai.data.tokens.packing import Ints
from lai.tokenizer.chat import CHAT_TAGS
from lai.tokenizer.targets import IGNORE_INDEX
from lai.tokenizer.vocab import CONTROL_TOKENS, Vocab

_COLOURS = ("cyan", "yellow")
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_PLAIN_ESCAPES = {sign: f"\\{sign}" for sign in "|«»"}


@dataclass(frozen=True)
class Piece:
    """What a row has of a document.

    Args:
        document: its number in the token file, from 0.
        first, size, whole: the first prediction of the piece, their number, and that of the whole document.
        tokens: what the model sees: each input and, if it counts, the last target.
        counts: whether each of them counts as a target; a piece's first token is none.
    """

    document: int
    first: int
    size: int
    whole: int
    tokens: list[int]
    counts: list[bool]

    @property
    def is_cut(self) -> bool:
        """Whether the document has more predictions, in other rows."""
        return self.size < self.whole

    def label(self) -> str:
        """Which document it is, and which of its predictions where they are not all."""
        part = f", targets {self.first + 1:,}-{self.first + self.size:,} of {self.whole:,}" if self.is_cut else ""
        return f"document {self.document:,}{part}"


@dataclass(frozen=True)
class Row:
    """A row of a batch: the pieces of documents in it, and how many places are padding."""

    pieces: list[Piece]
    padding: int


def rows_of(batch: Mapping[str, Tensor], plan: Sequence[Ints], lengths: Ints) -> list[Row]:
    """The rows of a batch as `lai.data.tokens.batches` makes it.

    Args:
        plan: the row's pieces, each (pieces, 3): document, its first prediction, how many.
        lengths: (documents,), the number of predictions of each document.
    """
    rows = []
    for tokens, targets, numbers, planned in zip(
        batch["tokens"], batch["targets"], batch["documents"], plan, strict=True
    ):
        pieces = []
        for number, (document, first, size) in enumerate(planned.tolist()):
            places = numbers == number
            seen, wanted = tokens[places].tolist(), targets[places].tolist()
            counts = [False, *(target != IGNORE_INDEX for target in wanted)]
            if counts[-1]:
                seen.append(wanted[-1])
            pieces.append(Piece(document, first, size, int(lengths[document]), seen, counts[: len(seen)]))
        rows.append(Row(pieces, int((numbers == PADDING_DOCUMENT).sum())))
    return rows


def summary(rows: Sequence[Row]) -> str:
    """The size of a batch in one line."""
    pieces = [piece for row in rows for piece in row.pieces]
    tokens, padding = sum(piece.size for piece in pieces), sum(row.padding for row in rows)
    counting = sum(sum(piece.counts) for piece in pieces)
    cut = len({piece.document for piece in pieces if piece.is_cut})
    return (
        f"{_many(len(rows), 'row')}, {_many(tokens, 'token')}, {padding / max(1, tokens + padding):.1%} padding, "
        f"{counting:,} targets count ({counting / max(1, tokens):.1%}), "
        f"{_many(len({piece.document for piece in pieces}), 'document')}{f', {cut:,} of them cut' if cut else ''}"
    )


def _many(count: int, name: str) -> str:
    return f"{count:,} {name}{'' if count == 1 else 's'}"


class TokenNames:
    """What is shown of each token of a vocabulary."""

    def __init__(self, vocab: Vocab) -> None:
        self._vocab = vocab
        self._controls = {number: name.decode() for number, name in enumerate(CONTROL_TOKENS)}
        self._controls |= {vocab.tag_id(tag): tag.decode() for tag in CHAT_TAGS}
        self._names = frozenset(self._controls.values())

    def is_control(self, token: int) -> bool:
        """Whether it is a control token or a tag, which have names instead of text."""
        return token in self._controls

    def shown(self, token: int, escapes: Mapping[str, str]) -> str:
        """The name of a control token or tag; else the text, with bytes that are no whole character as `\\xC5`.

        Args:
            escapes: what is written instead of some characters, beside those that cannot be seen.
        """
        if (name := self._controls.get(token)) is not None:
            return name
        text = self._vocab.tokens[token].decode("utf-8", "surrogateescape")
        written = "".join(escapes.get(character) or _visible(character) for character in text)
        return f"\\{written}" if written in self._names else written


def _visible(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte that is no whole character
        return f"\\x{ord(character) - 0xDC00:02X}"
    if character.isprintable():
        return character
    return f"\\u{ord(character):04X}" if ord(character) < 1 << 16 else f"\\U{ord(character):08X}"


def plain_lines(rows: Sequence[Row], names: TokenNames) -> Iterator[str]:
    """The rows without colours: `|` stands between tokens, and targets that count stand between `«` and `»`."""
    escapes = _ESCAPES | _PLAIN_ESCAPES
    for number, row in enumerate(rows, 1):
        yield f"row {number}"
        for piece in row.pieces:
            runs = []
            for counts, run in groupby(zip(piece.tokens, piece.counts, strict=True), key=lambda pair: pair[1]):
                text = "|".join(names.shown(token, escapes) for token, _ in run)
                runs.append(f"«{text}»" if counts else text)
            yield f"  {piece.label()}: {'|'.join(runs)}"
        if row.padding:
            yield f"  padding: {row.padding:,}"


def print_coloured(rows: Sequence[Row], names: TokenNames, console: Console) -> None:
    """Print the rows: tokens in two alternating colours, targets that count on a coloured ground, all others dimmed."""
    for number, row in enumerate(rows, 1):
        console.rule(f"row {number}", align="left")
        for piece in row.pieces:
            console.print(f"[bold]{escape(piece.label())}[/]", highlight=False)
            text = Text(overflow="fold")
            for place, (token, counts) in enumerate(zip(piece.tokens, piece.counts, strict=True)):
                colour = _COLOURS[place % 2]
                weight = "bold " if names.is_control(token) else ""
                style = f"{weight}black on {colour}" if counts else f"{weight}dim {colour}"
                text.append(names.shown(token, _ESCAPES), style)
            console.print(text)
        if row.padding:
            console.print(f"[dim]padding: {row.padding:,}[/]", highlight=False)
