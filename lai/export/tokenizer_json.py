"""The vocabulary as a `tokenizer.json`, the file of Hugging Face's tokenizers.

Its byte-pair encoding merges named pairs in the order of a list, where LAi merges any pair that joins to a token, in
the order of scores. So the list has every way to cut each token, the token of the highest score first. A byte of ASCII
is named by its character, without which no merge could name it; the other bytes are `<0xNN>`.
"""

from collections import Counter
from itertools import pairwise
from typing import Any

from lai.export.text_tokens import special_ids, splits, text_ids
from lai.host.errors import UserError
from lai.tokenizer.bpe import FIRST_BYTE, characters
from lai.tokenizer.vocab import N_BASE, TAG_PREFIXES, Vocab


def tokenizer_json(vocab: Vocab) -> dict[str, Any]:
    """The content of `tokenizer.json`.

    Raises:
        UserError: such a file cannot hold this vocabulary, or as `special_ids`.
    """
    special = special_ids(vocab)
    names = _names(vocab, special)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": index,
                "content": text,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for index, text in sorted(special.items())
        ],
        "normalizer": None,
        "pre_tokenizer": None,
        "post_processor": _begins_with(special[Vocab.BOS], Vocab.BOS),
        "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": special[Vocab.UNK],
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": {name: index for index, name in enumerate(names)},
            "merges": _merges(vocab, names),
        },
    }


def _names(vocab: Vocab, special: dict[int, str]) -> list[str]:
    typed = text_ids(vocab)
    steps = {vocab.tokens.index(step): step.decode() for step in TAG_PREFIXES if step in vocab.tokens}
    names = []
    for index, token in enumerate(vocab.tokens):
        if index in special:
            names.append(special[index])
        elif FIRST_BYTE <= index < N_BASE and not 0 < token[0] < 0x80:
            names.append(f"<0x{token[0]:02X}>")
        elif typed.get(token) == index:
            names.append(token.decode())
        else:
            names.append(steps.get(index, f"[unused_{index}]"))
    (name, count), *_ = Counter(names).most_common(1)
    if count > 1:
        raise UserError(f"tokenizer.json cannot hold this vocabulary: {count} of its tokens would be named {name!r}")
    return names


def _merges(vocab: Vocab, names: list[str]) -> list[tuple[str, str]]:
    typed = {
        token: index for token, index in text_ids(vocab).items() if index >= N_BASE or token == names[index].encode()
    }
    joined = sorted(
        (token for token in typed if len(characters(token)) > 1), key=lambda token: -vocab.scores[typed[token]]
    )
    _check_order(vocab, [typed[token] for token in joined])
    merges = []
    for token in joined:
        for character in characters(token):
            if character not in typed:
                raise UserError(
                    f"tokenizer.json cannot hold this vocabulary: {token.decode()!r} is a token, its character "
                    f"{character.decode()!r} is none; export to --format gguf, or build the vocabulary anew and train"
                )
        pairs = [(left, right) for left, right in splits(token) if left in typed and right in typed]
        merges += [(left.decode(), right.decode()) for left, right in sorted(pairs, key=_precedence)]
    return merges


def _precedence(pair: tuple[bytes, bytes]) -> tuple[bool, int]:
    """Which way to cut a token comes first in the list.

    LAi prefers none: of two places it merges the left one. They can overlap, as in `ab` `a` `ba` with the token `aba`:
    the left place cuts the token before the piece with which the token also begins. Else longer left parts come first.
    """
    left, right = pair
    overlaps = (left + right).startswith(right)
    return not overlaps, -len(left)


def _check_order(vocab: Vocab, ids: list[int]) -> None:
    for one, other in pairwise(ids):
        if vocab.scores[one] == vocab.scores[other]:
            raise UserError(
                f"tokenizer.json cannot hold this vocabulary: {vocab.tokens[one].decode()!r} and "
                f"{vocab.tokens[other].decode()!r} have the same score, and its merges have an order; "
                "export to --format gguf"
            )


def _begins_with(token: str, index: int) -> dict[str, Any]:
    """The post-processor that puts a token before each text."""
    first = {"SpecialToken": {"id": token, "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [first, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [
            first,
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": token, "type_id": 1}},
            {"Sequence": {"id": "B", "type_id": 1}},
        ],
        "special_tokens": {token: {"id": token, "ids": [index], "tokens": [token]}},
    }
