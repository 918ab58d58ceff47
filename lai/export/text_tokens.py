"""The tokens that typed text can become, as other programs must be told them."""

from collections.abc import Iterator

from lai.host.errors import UserError
from lai.tokenizer.bpe import NEVER, characters, is_utf8
from lai.tokenizer.chat import CHAT_TAGS
from lai.tokenizer.vocab import CONTROL_TOKENS, TAG_PREFIXES, Vocab

SPECIAL_TOKENS = CONTROL_TOKENS + CHAT_TAGS
"""The tokens that a text never becomes, and a chat's template does."""

_MARKUP = frozenset(CHAT_TAGS + TAG_PREFIXES)


def text_ids(vocab: Vocab) -> dict[bytes, int]:
    """The id of each token that `Vocab.encode_text` can give, by its bytes; of equal tokens it gives the highest id.

    Tokens of several bytes that are no UTF-8 are left out: other programs read text, in which they do not occur.
    """
    scored = zip(vocab.tokens, vocab.scores.tolist(), strict=True)
    return {
        token: index
        for index, (token, score) in enumerate(scored)
        if token and score > NEVER and token not in _MARKUP and (len(token) == 1 or is_utf8(token))
    }


def special_ids(vocab: Vocab) -> dict[int, str]:
    """The ids of control tokens and chat tags, and their texts.

    Raises:
        UserError: the vocabulary has no token for a tag, or typed text could become one of these in other programs.
    """
    found = {index: token.decode() for index, token in enumerate(CONTROL_TOKENS)}
    found |= {vocab.tag_id(tag): tag.decode() for tag in CHAT_TAGS}
    typed = text_ids(vocab)
    for token in SPECIAL_TOKENS:
        for left, right in splits(token):
            if left in typed and right in typed:
                raise UserError(
                    f"this vocabulary has the tokens {left.decode()!r} and {right.decode()!r}, which other programs "
                    f"join to the special token {token.decode()!r} where a person types it; export to --format lai"
                )
    return found


def splits(token: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The two parts of a token, wherever it can be cut between two characters."""
    end = 0
    for character in characters(token)[:-1]:
        end += len(character)
        yield token[:end], token[end:]
