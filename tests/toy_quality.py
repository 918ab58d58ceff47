"""Small texts for the quality report."""

import random
from pathlib import Path

from lai.data.quality.findings import Finding
from lai.data.quality.report import Quality

GOOD = [
    "A ló fut a kertben.".encode(),
    b"The dog runs in the garden.",
    b"<user>Translate to Hungarian: the dog</user><assistant>a kutya</assistant>",
    "<user>Ki fut?</user><assistant>A ló.</assistant>".encode(),
    "<user>Fordítsd angolra: a ló</user><assistant>the horse</assistant>".encode(),
    b"<user>Hi.</user><assistant>Hello!</assistant><user>Bye.</user><assistant>Bye!</assistant>",
]


def findings(report: Quality) -> dict[str, Finding]:
    return {finding.check: finding for finding in report.findings}


def write(path: Path, lines: list[bytes], end: bytes = b"\n") -> Path:
    path.write_bytes(end.join(lines) + end)
    return path


SHORT_WORDS = ["the", "a", "of", "and", "in", "old", "wall", "horse", "small", "under", "quietly"]


WORDS = [*SHORT_WORDS, "children", "mountain", "themselves", "between", "evening", "remembered", "nothing", "because"]


def paragraphs(count: int, seed: int = 0) -> list[str]:
    """Prose as to its shape: sentences of five to twenty words, one to nine of them a paragraph."""
    draw = random.Random(seed)

    def sentence() -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(5, 20))).capitalize() + draw.choice(".....?!")

    return [" ".join(sentence() for _ in range(draw.randint(1, 9))) for _ in range(count)]
