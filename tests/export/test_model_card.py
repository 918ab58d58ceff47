"""The model card: what the manifest says, and nothing typed by hand."""

import re

from lai.export.model_card import model_card
from lai.model.lineage import as_parent
from lai.model.record import TrainingRecord


def test_the_card_has_what_the_manifest_and_the_model_say(model, manifest):
    card = model_card(model._replace(manifest=manifest), "bf16", "toy")
    for words in ("CC-BY-4.0", "ab" * 32, "stories \\| hu", "123,456", "0123abcd, with changes that are not committed"):
        assert words in card
    for words in (
        "1 h 2 min 5 s",
        "987,654",
        "| val/loss | 1.2346 |",
        "| val/bpb | 0.5000 |",
        "model=nano seed=7",
    ):
        assert words in card
    assert "| mine | unknown | 7 |" in card


def test_without_a_manifest_the_card_leaves_out_what_it_does_not_know(model):
    card = model_card(model, "f32", "toy")
    assert "## Data" not in card and "commit" not in card and "None" not in card
    assert "| tokens seen | 4,096 |" in card


def test_each_number_of_the_card_comes_from_the_model_or_the_manifest(model):
    numbers = set(re.findall(r"\d[\d,.]*", model_card(model, "f32", "toy")))
    config, (parameters, _) = model.config, model.config.parameter_counts()
    figures = [*vars(config).values(), parameters, *vars(model.training).values()]
    known = {f"{value:,}" for value in figures if isinstance(value, int)}
    indices = {"0", "1"}  # in the example's Python
    assert {number.rstrip(",.") for number in numbers} <= known | indices | {"32"}  # of "f32"


def test_the_card_shows_four_programs_and_two_warnings(model):
    card = model_card(model, "f32", "toy")
    for words in (
        "lai-generate -m toy.bin",
        "llama-server -m toy.gguf",
        'model="toy.hf"',
        "--model toy.hf",
    ):
        assert words in card
    assert "sanitize_control_tokens=True" in card
    assert "Do not convert this folder to GGUF" in card and "Do not load the GGUF file with transformers" in card


def test_the_stages_before_stand_in_the_card_with_their_data(model, manifest):
    data = [{"name": f"old {number}", "licence": "CC0-1.0", "bytes": 12, "sha256": "12" * 32} for number in range(40)]
    first = as_parent("a.bin", "34" * 32, "model file", "f32", "", TrainingRecord(steps=7), {"data": data})
    second = as_parent("b.bin", "56" * 32, "GGUF file", "q8_0", "", TrainingRecord(steps=9), {"parent": first})
    card = model_card(model._replace(manifest=manifest | {"parent": second}), "f32", "toy")
    assert "| b.bin | 9 |" in card and "| a.bin | 7 |" in card
    assert card.index("| b.bin | 9 |") < card.index("| a.bin | 7 |")
    assert "| a.bin | old 0 | CC0-1.0 | 12 |" in card and "| a.bin | 10 more | CC0-1.0 |" in card
    assert "| this run | mine | unknown | 7 |" in card


def test_a_manifest_of_another_shape_makes_a_card_all_the_same(model):
    odd = {"commit": 3, "vocabulary": [], "data": {"a": 1}, "validation": [3], "metrics": "x", "parent": {"data": 3}}
    assert "# toy" in model_card(model._replace(manifest=odd), "f32", "toy")
