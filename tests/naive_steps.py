"""The three encoding steps of docs/format.md, word for word and slowly: what every encoder of ours is held to."""

import random

NEVER = -1e10


class NaiveEncoder:
    """The steps over some tokens; those whose bytes are in `without` are treated as if they were not there."""

    def __init__(self, tokens, scores, without=()):
        self.best_score, self.highest_id = {}, {}
        for index, (token, score) in enumerate(zip(tokens, scores, strict=True)):
            if score > NEVER and token not in without:
                self.best_score[token] = max(score, self.best_score.get(token, score))
                self.highest_id[token] = index

    def merge(self, text):
        """The pieces that steps 1 and 2 leave, and what each merge gave."""
        pieces, results = split_characters(text), []
        while True:
            best = None
            for i in range(len(pieces) - 1):
                score = self.best_score.get(pieces[i] + pieces[i + 1])
                if score is not None and (best is None or score > best[0]):
                    best = (score, i)
            if best is None:
                break
            i = best[1]
            pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
            results.append(pieces[i])
        return pieces, results

    def __call__(self, text):
        ids = []
        for piece in self.merge(text)[0]:
            if piece in self.highest_id:
                ids.append(self.highest_id[piece])
            else:
                ids.extend(byte + 4 for byte in piece)
        return ids


def split_characters(text):
    pieces, position = [], 0
    while position < len(text):
        lead = text[position]
        if lead >> 5 == 0b110:
            length = 2
        elif lead >> 4 == 0b1110:
            length = 3
        elif lead >> 3 == 0b11110:
            length = 4
        else:
            length = 1
        pieces.append(text[position : position + length])
        position += length
    return pieces


ODDITIES = [
    *(
        part.encode()
        for part in ("😀", "👩‍👩‍👧", "🇭🇺", "a\u0301", "o\u030b", "e\u0301te\u0301", "▁", "▁▁", "▅", "\ufffd", "\u00a0")
    ),
    *(
        part.encode()
        for part in ("日本語", "привет", "שלום", "„", "”", "–", "…", "ő", "Ű", "árvíztűrő tükörfúrógép", "\u2028")
    ),
    *(b"\0", b"\t", b"\n", b"\r\n", b"\n\n", b"\x7f", b"\x01", b" ", b"  ", b"   ", b"        ", b" \n ", b" \t"),
    *(
        b"\xff",
        b"\xfe",
        b"\xf8",
        b"\x80",
        b"\xbf",
        b"\xc3",
        b"\xc0\x80",
        b"\xc3 ",
        b"\xe2\x96",
        b"\xe2",
        b"\xed\xa0\x80",
    ),
    *(b"\xf0\x9f\x98", b"\xf0", b"\xf4\x90\x80\x80", b"\xe0 a", b"\xf5ab "),
    *(
        b"<user>",
        b"</user>",
        b"<system>",
        b"</system>",
        b"<assistant>",
        b"</assistant>",
        b"<use",
        b"r>",
        b"</",
        b"<",
        b">",
    ),
    *(
        b"<<user>",
        b"< user>",
        b"<User>",
        b"<user >",
        b"</a",
        b"ssistant>",
        b"<eos>",
        b"<pad>",
        b"<unk>",
        b"<0x41>",
        b"<s>",
    ),
    *(b"a", b"l", b"aa", b"0", b"1984", b"3.14", b"don't", b"...", b"!?", b"->", b"://", b"and/or", b"%s", b"{0}"),
]


def odd_texts(count, words, seed=0):
    """`count` texts of ordinary `words`, `ODDITIES`, runs of one character and raw bytes, in any mixture."""
    rng = random.Random(seed)
    texts = []
    for _ in range(count):
        parts = []
        for _ in range(rng.choice((0, 1, 2, 2, 3, 3, 4, 6, 9))):
            kind = rng.random()
            if kind < 0.4:
                parts.append(rng.choice((b"", b" ", b" ", b"  ")) + rng.choice(words))
            elif kind < 0.85:
                parts.append(rng.choice(ODDITIES))
            elif kind < 0.95:
                parts.append(
                    rng.choice((b"a", b"l", b" ", b".", b"<", "á".encode(), b"\n", b"-")) * rng.randrange(2, 24)
                )
            else:
                parts.append(rng.randbytes(rng.randrange(1, 6)))
        text = b"".join(parts)
        if rng.random() < 0.1:
            text = text[: rng.randrange(len(text) + 1)]
        texts.append(text)
    return texts
