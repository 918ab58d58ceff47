"""Texts to learn a vocabulary from, and vocabularies of other writers."""

import random

from lai import Vocab
from lai.tokenizer.chat import CHAT_TAGS

PREFIXES = {tag[:length] for tag in CHAT_TAGS for length in range(2, len(tag))}


MARKUP = {*CHAT_TAGS, *PREFIXES}


WORDS = """
the a cat cats dog dogs house houses small smaller smallest run running walk walking hello all ball call, fall.
a az egy kutya kutyák macska macskák ház házak kicsi kisebb legkisebb szép szebb hogyan hogy árvíztűrő megy mennek,
user assistant system users systems used sister assist <b> </b> and/or aaaaaa ... !!! „szép” – 1984 %s don't
""".encode().split()


def sample_texts(count=400, seed=1):
    rng = random.Random(seed)
    return [b" ".join(rng.choices(WORDS, k=rng.randrange(3, 12))) for _ in range(count)]


def byte_vocab(extra, scores):
    """A vocabulary of control tokens, bytes and these tokens, as another program may have written it."""
    tokens = [b"<pad>", b"<bos>", b"<eos>", b"<unk>", *(bytes([byte]) for byte in range(256)), *extra]
    return Vocab(tokens, [-1e10] * 4 + [-100.0] * 256 + list(scores))


def chat_vocab(*learned):
    """A vocabulary of another writer that has the chat tags behind these tokens, the first merged first."""
    markup = sorted(MARKUP, key=len)
    scores = [-float(order) for order in range(1, len(learned) + 1)]
    return byte_vocab([*learned, *markup], scores + [1000.0 + len(token) for token in markup])
