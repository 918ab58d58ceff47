"""Toy text, a toy model, the config that `lai-train` composes from overrides, and the metrics that a run wrote."""

import csv
import random
import struct

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from lai.config.load import CONF_DIR

NOUNS = {"dog": "kutya", "cat": "macska", "tree": "fa", "house": "ház", "child": "gyerek", "bird": "madár"}
ADJECTIVES = {"big": "nagy", "small": "kis", "red": "piros", "old": "öreg", "good": "jó"}

# A model that trains in a second or two.
TINY = [
    "model.dim=32",
    "model.hidden_dim=64",
    "model.n_layers=2",
    "model.n_heads=2",
    "model.max_seq_len=64",
    "trainer.accelerator=cpu",
    "device.compile=false",
    "data.vocab_size=400",
    "data.batch_size=4",
]


def example_lines(count: int, seed: int = 0) -> list[str]:
    """Lines in the guide's format: plain sentences and small translations."""
    random_ = random.Random(seed)
    lines = []
    for number in range(count):
        noun, adjective = random_.choice(sorted(NOUNS)), random_.choice(sorted(ADJECTIVES))
        if number % 2:
            lines.append(f"The {adjective} {noun} has {number} apples. A {ADJECTIVES[adjective]} {NOUNS[noun]}.")
        else:
            question = f"Translate to Hungarian: {number} {adjective} {noun}"
            lines.append(
                f"<user>{question}</user><assistant>{number} {ADJECTIVES[adjective]} {NOUNS[noun]}</assistant>"
            )
    return lines


def composed(*overrides: str) -> DictConfig:
    """The config that `lai-train` composes from these overrides."""
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return compose("train", overrides=list(overrides))


def content_of(model):
    """A model file without its manifest, which has times in it, and without the fields that depend on its size."""
    data = model.read_bytes()
    weights, manifest = struct.unpack_from("<Q", data, 57)[0], struct.unpack_from("<Q", data, 116)[0]
    return data[:57] + data[77:116] + data[256 : manifest or weights] + data[weights:]


def rows_of(folder, column):
    """(step, value) of a metric in a run's metrics.csv; a run that ended before its first row has none."""
    if not (folder / "metrics.csv").exists():
        return []
    with (folder / "metrics.csv").open() as file:
        return [(int(row["step"]), float(row[column])) for row in csv.DictReader(file) if row[column]]
