"""How much of made-up damage the quality report finds, its false alarms on clean text, and the speed of counting.

    python benchmarks/damage.py ../shared/data [--lines 1000] [--speed] [--clean FILE …]

Clean lines are chosen at random among those that each kind of damage changes. A file of them and a file of the same
lines damaged are counted; the table has the share of damaged lines that are found and of clean ones that are, too.
"""

import argparse
import random
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

from lai.data.quality.counting import Counting
from lai.data.quality.damage import ENTITIES, MOJIBAKE, OTHER_MARKUP, TILDES
from lai.data.quality.findings import FAULTS
from lai.data.quality.near import is_installed, near_copies, signatures
from lai.data.quality.report import CountingPass
from lai.data.sources.reading import DEFAULT_READING

MIN_LENGTH = 20  # characters of a line: what is wrong with a single word, nobody can tell
Damage = Callable[[str, random.Random], str]


def misread(right: str, wrong: str) -> Damage:
    """Text of one encoding read as another one; bytes that it lacks become control characters."""
    table = [bytes([byte]).decode(wrong, "ignore") or chr(byte) for byte in range(256)]

    def damage(line: str, _: random.Random) -> str:
        try:
            return "".join(table[byte] for byte in line.encode(right))
        except UnicodeEncodeError:  # of Mac Roman, which lacks ő and ű, a mark; other encodings cannot hold the line
            return line if right != "mac_roman" else "".join(table[byte] for byte in line.encode(right, "replace"))

    return damage


def twice(first: Damage, second: Damage) -> Damage:
    return lambda line, draw: second(first(line, draw), draw)


def insert(characters: str) -> Damage:
    def damage(line: str, draw: random.Random) -> str:
        place = draw.randrange(1, len(line))
        return line[:place] + draw.choice(characters) + line[place:]

    return damage


def around(before: str, after: str) -> Damage:
    return lambda line, _: f"{before}{line}{after}"


ENTITY = {"&": "&amp;", "'": "&apos;", '"': "&quot;", "ő": "&#337;", "á": "&aacute;", "<": "&lt;", "é": "&#xe9;"}
HU, EN, PAIRS = ("mono.hu.txt", "stories.hu.txt"), ("mono.en.txt", "stories.en.txt"), ("parallel.tsv",)
KINDS: list[tuple[str, str, tuple[str, ...], Damage]] = [
    *((f"UTF-8 as {name}", MOJIBAKE, HU + EN, misread("utf-8", name))
      for name in ("latin-1", "iso-8859-2", "cp1252", "cp1250", "mac_roman")),
    *((f"UTF-8 as {name}, twice", MOJIBAKE, HU + EN, twice(misread("utf-8", name), misread("utf-8", name)))
      for name in ("latin-1", "cp1252", "cp1250")),
    ("UTF-8 as cp1252 as latin-1", MOJIBAKE, HU + EN, twice(misread("utf-8", "cp1252"), misread("utf-8", "latin-1"))),
    ("Latin-2 as Latin-1 as cp1252", MOJIBAKE, HU, twice(misread("iso-8859-2", "latin-1"), misread("utf-8", "cp1252"))),
    ("Latin-2 as Latin-1", TILDES, HU, misread("iso-8859-2", "latin-1")),
    ("CP1250 as CP1252", TILDES, HU, misread("cp1250", "cp1252")),
    ("CP1250 as MacRoman", MOJIBAKE, HU, misread("cp1250", "mac_roman")),
    ("MacRoman as CP1252", MOJIBAKE, HU, misread("mac_roman", "cp1252")),
    ("MacRoman as CP1250", MOJIBAKE, HU, misread("mac_roman", "cp1250")),
    ("MacRoman as Latin-2", MOJIBAKE, HU, misread("mac_roman", "iso-8859-2")),
    ("NFD", "NFD", HU + EN, lambda line, _: unicodedata.normalize("NFD", line)),
    ("invisible characters", "invisible characters", HU + EN, insert("\u00ad\u200b\u200d\u200e\u2060\ufeff")),
    ("unusual blanks", "unusual blanks", HU + EN, lambda line, _: line.replace(" ", "\u00a0", 1)),
    ("HTML entities", ENTITIES, HU + EN, lambda line, _: "".join(ENTITY.get(letter, letter) for letter in line)),
    ("ChatML", OTHER_MARKUP, HU + EN, around("<|im_start|>user\\n", "<|im_end|>")),
    ("[INST]", OTHER_MARKUP, HU + EN, around("[INST] Go on. [/INST] ", "")),
    ("<s>", OTHER_MARKUP, HU + EN, around("<s> ", " </s>")),
    ("<|endoftext|>", OTHER_MARKUP, HU + EN, around("", "<|endoftext|>")),
    ("<eos>", OTHER_MARKUP, HU + EN, around("", "<eos>")),
    ("carriage returns", "old Mac line ends", HU + EN, lambda line, _: line.replace(" ", "\r", 1)),
    ("swapped sides", "swapped sides", PAIRS, lambda line, _: "\t".join(reversed(line.split("\t")))),
    ("two Hungarian sides", "sides in one language", PAIRS, lambda line, _: line),
    ("two English sides", "sides in one language", PAIRS, lambda line, _: line),
    ("equal sides", "equal sides", PAIRS, lambda line, _: "\t".join(line.split("\t")[1:] * 2)),
    ("a side cut to a quarter", "sides out of proportion", PAIRS,
     lambda line, _: line[: line.index("\t") + 2 + (len(line) - line.index("\t")) // 4]),
    ("quoted fields", "quoted fields", PAIRS,
     lambda line, _: "\t".join('"' + side.replace('"', '""') + '"' for side in line.split("\t"))),
    ("an empty side", "empty sides", PAIRS, lambda line, _: line.split("\t")[0] + "\t "),
    ("a third column", "columns", PAIRS, lambda line, _: line + "\tCC-BY"),
]  # fmt: skip


def counts_of(path: Path) -> Counting:
    with CountingPass(DEFAULT_READING, longest_line=1 << 20) as counted:
        counted.read([path])
        counted.counting.finish()
        return counted.counting


def measured(data: Path, folder: Path, lines: int) -> Iterator[tuple[str, str, int, float, float]]:
    """The kind, its check, how many lines, the shares of damaged and of clean lines that are found."""
    read = {name: (data / name).read_text(encoding="utf-8").splitlines() for name in (*HU, *EN, *PAIRS)}
    for kind, check, names, damage in KINDS:
        draw = random.Random(kind)
        clean = [line for name in names for line in read[name] if len(line.split("\t")[0]) >= MIN_LENGTH]
        if kind.startswith("two "):
            side = 1 if "Hungarian" in kind else 0
            chosen = draw.sample(clean, lines + 1)
            sides = [line.split("\t")[side] for line in chosen]
            damaged = ["\t".join(both) for both in zip(sides[1:], sides, strict=False)]
            chosen = chosen[:lines]
        else:
            draw.shuffle(clean)
            if kind.startswith("a side"):
                clean = [line for line in clean if min(map(len, line.split("\t"))) >= 2 * MIN_LENGTH]
            both = ((line, damage(line, draw)) for line in clean)
            pairs = [pair for pair, _ in zip((pair for pair in both if pair[0] != pair[1]), range(lines), strict=False)]
            chosen, damaged = [line for line, _ in pairs], [line for _, line in pairs]
        if check in ("empty sides", "columns"):  # among others: such a file alone is refused, or has so many columns
            chosen_others = clean[-2 * lines :]
            damaged = damaged + chosen_others
            draw.shuffle(damaged)
        ending = Path(names[0]).suffix
        found = []
        for name, text in (("damaged", damaged), ("clean", chosen)):
            path = folder / f"{name}{ending}"
            path.write_text("\n".join(text) + "\n", encoding="utf-8", newline="")
            found.append(counts_of(path).totals[check] / len(chosen))
        yield kind, check, len(chosen), found[0], found[1]
    if is_installed():
        draw = random.Random(0)
        chosen = draw.sample([line for name in HU + EN for line in read[name] if len(line.split()) >= 12], lines)
        words = [line.split() for line in chosen]
        for each in words:
            each[draw.randrange(len(each))] = "…"
        _, table = signatures([line.encode() for line in chosen + [" ".join(each) for each in words]])
        found_near = near_copies(table)
        yield (
            "near copies: a word changed",
            "near-duplicates",
            lines,
            found_near[lines:].mean(),
            found_near[:lines].mean(),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--lines", type=int, default=1000)
    parser.add_argument("--clean", type=Path, nargs="+", default=[], help="other clean text: count all findings in it")
    parser.add_argument("--speed", action="store_true", help="also count whole files, three times each")
    options = parser.parse_args()
    print(f"{'damage':<28}{'check':<26}{'lines':>6}{'found':>9}{'false':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for kind, check, lines, found, false in measured(options.data, Path(folder), options.lines):
            print(f"{kind:<28}{check:<26}{lines:>6}{found:>9.2%}{false:>9.2%}", flush=True)
    for path in options.clean:
        counting = counts_of(path)
        checks = {fault.check: counting.totals[fault.check] for fault in FAULTS if counting.totals[fault.check]}
        print(f"{path.name}: {counting.totals['documents']:,} documents; {checks or 'no finding'}", flush=True)
    for name in (*HU, *EN) if options.speed else ():
        path = options.data / name
        for _ in range(3):
            start = time.process_time()
            counts_of(path)
            print(
                f"{name}: {path.stat().st_size / 1e6 / (time.process_time() - start):.1f} MB/s of CPU time", flush=True
            )


if __name__ == "__main__":
    main()
