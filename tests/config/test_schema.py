"""The schema against the components that use it and the YAML that fills it."""

import inspect
from dataclasses import MISSING, fields

import lightning
import pytest
from omegaconf import OmegaConf

from lai.config import schema
from lai.config.load import CONF_DIR
from lai.config.setting import limits
from lai.data.sources.catalog import SIZES
from lai.data.sources.cleaning import CLEANERS
from lai.data.synthetic.config import MIN_LEXICON
from lai.export.lai_file import ACTIVATIONS
from lai.export.quantize import DTYPES
from lai.tokenizer.train import VOCAB_SIZES


@pytest.mark.parametrize(
    ("kind", "name", "choices"),
    [
        (schema.HubSettings, "clean", CLEANERS),
        (schema.HubSettings, "size", SIZES),
        (schema.ExportSettings, "dtype", DTYPES),
        (schema.ModelSettings, "activation", ACTIVATIONS),
    ],
)
def test_choices_are_those_of_the_component(kind, name, choices):
    assert set(limits(kind, name).choices) == set(choices)


def test_the_range_of_the_vocabulary_is_that_of_training_one():
    declared = limits(schema.DataSettings, "vocab_size")
    assert (declared.ge, declared.le) == VOCAB_SIZES
    assert f"at least {MIN_LEXICON}" in limits(schema.SyntheticSettings, "lexicon").meaning


def test_trainer_settings_are_those_that_the_yaml_sets_and_lightning_takes():
    declared = {item.name for item in fields(schema.TrainerSettings)}
    assert declared == set(OmegaConf.load(CONF_DIR / "trainer" / "default.yaml")) - {"_target_"}
    assert declared <= set(inspect.signature(lightning.Trainer).parameters)


@pytest.mark.parametrize(
    ("kind", "file", "key"),
    [
        (schema.SyntheticSettings, "data/synthetic", "synthetic"),
        (schema.HubSettings, "data/hub", "hub"),
        (schema.OptimizerSettings, "optimizer/muon", None),
        (schema.ModelSettings, "model/tiny", None),
    ],
)
def test_a_default_of_the_schema_is_the_value_of_the_yaml(kind, file, key):
    loaded = OmegaConf.to_container(OmegaConf.load(CONF_DIR / f"{file}.yaml"))
    values = loaded[key] if key else loaded
    declared = {item.name: item.default for item in fields(kind) if item.default is not MISSING}
    assert {name: values[name] for name in declared} == declared


def test_yaml_files_hold_values_not_meanings():
    meanings = [
        limits(kind, item.name).meaning
        for kind in (schema.DataSettings, schema.OptimizerSettings)
        for item in fields(kind)
        if item.metadata
    ]
    text = "".join(path.read_text(encoding="utf-8") for path in CONF_DIR.rglob("*.yaml"))
    assert not [meaning for meaning in meanings if f"# {meaning}" in text]
