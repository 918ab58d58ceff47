"""The settings as pages and as a JSON schema: complete, current, and true to what `lai-train` accepts."""

import json
from pathlib import Path

import jsonschema
import pytest
from omegaconf import OmegaConf
from runs import composed

from lai.config.describe import answer, help_text, json_schema, markdown
from lai.config.load import CONF_DIR, known_keys

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads(json_schema())


@pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="the documents are in a checkout only")
@pytest.mark.parametrize(("file", "made"), [("docs/configuration.md", markdown), ("conf/schema.json", json_schema)])
def test_the_generated_file_is_current(file, made):
    assert (ROOT / file).read_text(encoding="utf-8").strip() == made().strip(), f"{file} is out of date: make settings"


def test_the_schema_is_valid_json_schema():
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    "overrides", [[], ["data=hub"], ["data=text"], ["experiment=guide"], ["experiment=quickstart"], ["schedule=wsd"]]
)
def test_the_schema_accepts_what_hydra_composes(overrides):
    config = OmegaConf.to_container(composed("output_dir=x", *overrides))
    assert list(jsonschema.Draft7Validator(SCHEMA).iter_errors(config)) == []


def test_the_schema_accepts_the_primary_file():
    config = OmegaConf.to_container(OmegaConf.load(CONF_DIR / "train.yaml"))
    assert list(jsonschema.Draft7Validator(SCHEMA).iter_errors(config)) == []


@pytest.mark.parametrize(
    "config",
    [
        {"seed": "one"},
        {"sead": 1},
        {"optimizer": {"lr": -1}},
        {"optimizer": {"lrr": 1}},
        {"data": {"hub": {"clean": "scrub"}}},
        {"model": {"dim": 0}},
        {"schedule": {"name": "lineer"}},
        {"trainer": {"accumulate_grad_batches": 0}},
    ],
)
def test_the_schema_refuses_what_lai_train_refuses(config):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(config, SCHEMA)


@pytest.mark.parametrize("page", [markdown(), help_text(100)], ids=["markdown", "help"])
def test_every_key_has_a_line(page):
    groups = {"model", "device", "data", "optimizer", "schedule", "export", "trainer", "callbacks", "logger"}
    groups |= {"data.synthetic", "data.hub"}
    missing = [key for key in known_keys() if key not in groups and f"{key}" not in page]
    assert not missing


def test_a_value_of_one_option_is_given_with_its_name():
    lines = {line.split(" | ")[0]: line for line in markdown().splitlines()}
    assert "| 0.95; muon: 0.99 |" in lines["| `optimizer.beta2`"]
    assert "| 4; hub: 8, text: 8 |" in lines["| `data.batch_size`"]
    assert "number more than 0, or null" in lines["| `optimizer.lr`"]


def test_help_keeps_to_the_width_of_the_terminal():
    assert max(map(len, help_text(80).splitlines())) <= 100  # a name is never broken


@pytest.mark.parametrize(
    ("arguments", "beginning"),
    [
        (["--help"], "usage: lai-train"),
        (["model=nano", "-h"], "usage: lai-train"),
        (["--version"], "lai 0."),
        (["--schema"], "{"),
    ],
)
def test_lai_train_answers_before_it_composes(arguments, beginning):
    assert answer(arguments).startswith(beginning)


def test_other_arguments_are_left_to_training():
    assert answer(["model=nano", "-m"]) is None
