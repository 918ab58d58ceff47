"""Texts on which other programs must have our ids: real and generated lines, typed tags, code, accents apart, emoji."""

import random
import unicodedata

from runs import example_lines

from lai.tokenizer.chat import CHAT_TAGS

_CODE = """def f(x: list[int]) -> dict:
    return {"a": x[0] ** 2, 'b': not x}  # ok
for (int i = 0; i < n; ++i) { sum += a[i] * b[i] - c; }
<div class="x">&nbsp;</div><br/> <b>bold</b>
SELECT * FROM t WHERE a <> 'b' AND c >= 1.5;
\tif x:\r\n\t\tpass
""".splitlines(keepends=True)
_PIECES = [
    *(tag.decode() for tag in CHAT_TAGS),
    *(
        "<u",
        "<use",
        "user>",
        "</",
        "</as",
        "<s",
        "sys",
        ">",
        "<",
        "/",
        "<<user>>",
        "< user >",
        "<0x41>",
        "<bos>",
        "</s>",
    ),
    *("<pad>", "<unk>", "<eos>", "[unused_300]", "<|im_end|>", "[INST]"),
    *(
        "👍",
        "👩‍👩‍👧",
        "🇭🇺",
        "🏳️‍🌈",
        "日本語",
        "Ελλάδα",
        "שלום",
        "नमस्ते",
        "é",
        "e\u0301",
        "o\u030b",
        "ő",
        "Ű",
        "ß",
        "½",
        "€",
    ),
    *(" ", "  ", "     ", "\n", "\n\n", "\t", "\r\n", "\u00a0", "\u2028", "\ufeff", "\u200d", "\x00", "\x01", "\x7f"),
    *("szia", "Hello", "a", "az", "the", "1984", "3.14", "-", "–", "„", "”", "...", "!?", "árvíztűrő", "don't"),
]


def agreement_texts(count, shared_data=None, seed=0):
    """`count` valid texts without U+2581, a seventh of each kind; real lines where `shared_data` has them."""
    rng = random.Random(seed)
    generated = example_lines(2000)
    real = list(generated)
    if shared_data is not None:
        for path in sorted(shared_data.glob("*.t*")):
            if path.name != "SOURCES.tsv":
                with path.open(encoding="utf-8") as file:
                    real += [line.rstrip("\n") for line, _ in zip(file, range(4000), strict=False)]
    kinds = [
        lambda: rng.choice(real),
        lambda: rng.choice(generated),
        lambda: "".join(rng.choices(_PIECES, k=rng.randrange(1, 12))),
        lambda: "".join(rng.choices(_CODE, k=rng.randrange(1, 4))),
        lambda: unicodedata.normalize("NFD", rng.choice(real)),
        lambda: " ".join([rng.choice(_PIECES), rng.choice(real), rng.choice(_PIECES)]),
        lambda: "".join(_character(rng) for _ in range(rng.randrange(1, 20))),
    ]
    return [kinds[number % len(kinds)]().replace("\u2581", "_") for number in range(count)]


def _character(rng):
    while True:
        limit = rng.choice((0x80, 0x80, 0x250, 0x3000, 0x110000))
        point = rng.randrange(limit)
        if not 0xD800 <= point < 0xE000:
            return chr(point)
