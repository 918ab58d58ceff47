"""Documents of few words, as lines."""

import random

WORDS = ["a", "ló", "fut", "the", "dog", "sees", "egy", "kis", "fa", "and", "one", "tree", "<user>", "szép"]


def lines(count: int, seed: int = 0) -> list[bytes]:
    """Documents' text forms, a third of them examples, some of them alike."""
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        first, second = (" ".join(draw.choices(WORDS[:-2], k=draw.randint(1, 6))).encode() for _ in range(2))
        made.append(b"<user>%b</user><assistant>%b</assistant>" % (first, second) if draw.random() < 0.3 else first)
    return made
