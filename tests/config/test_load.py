"""Composed YAML becomes plain objects: every file composes, every key and type is checked."""

import pytest
from mistakes import OUTPUT, mistake
from runs import composed

from lai.config.load import CONF_DIR, flatten, load_run_config

GROUPS = sorted(path for path in CONF_DIR.glob("*/*.yaml") if path.parent.name != "experiment" and path.stem != "base")
EXPERIMENTS = sorted(path.stem for path in (CONF_DIR / "experiment").glob("*.yaml"))


@pytest.mark.parametrize("file", GROUPS, ids=lambda file: f"{file.parent.name}={file.stem}")
def test_every_option_composes_and_fits_the_schema(file):
    extra = ["data.path=some.txt"] if file.parent.name == "data" else []
    run = load_run_config(composed(OUTPUT, f"{file.parent.name}={file.stem}", *extra))
    assert run.model.dim > 0


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_composes_and_fits_the_schema(name):
    no_parent = ["init_from=null"] if name == "finetune_chat" else []  # its model is not there: tests/e2e
    assert load_run_config(composed(OUTPUT, f"experiment={name}", *no_parent)).model.name


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("tiny", (384, 1536, 8, 6, 512)),
        ("mini", (512, 2048, 12, 8, 1024)),
        ("small", (768, 3072, 16, 12, 2048)),
    ],
)
def test_presets_have_the_shapes_they_promise(name, shape):
    model = load_run_config(composed(OUTPUT, f"model={name}")).model
    assert (model.dim, model.hidden_dim, model.n_layers, model.n_heads, model.max_seq_len) == shape


def test_overrides_reach_the_run():
    run = load_run_config(
        composed(
            OUTPUT,
            "model=mini",
            "trainer.accelerator=cpu",
            "trainer.max_epochs=10",
            "data.batch_size=32",
            "optimizer.lr=3e-4",
            "data.path=my.txt",
            "export.path=models/lai-tiny.bin",
            "ckpt_path=last.ckpt",
            "seed=7",
        )
    )
    assert (run.model.name, run.trainer["accelerator"], run.trainer["max_epochs"]) == ("mini", "cpu", 10)
    assert (run.data.batch_size, run.data.path, run.optimizer.lr) == (32, "my.txt", 3e-4)
    assert (run.export.path, run.ckpt_path, run.seed) == ("models/lai-tiny.bin", "last.ckpt", 7)


def test_a_mapping_argument_of_a_callback_stays_a_mapping():
    more = "+callbacks.more._target_=lightning.pytorch.callbacks.GradientAccumulationScheduler"
    run = load_run_config(composed(OUTPUT, more, "+callbacks.more.scheduling={0:2,4:4}"))
    assert run.callbacks["more"]["scheduling"] == {0: 2, 4: 4}


def test_a_run_needs_neither_loggers_nor_callbacks():
    run = load_run_config(composed(OUTPUT, "~logger", "~callbacks"))
    assert (run.logger, run.callbacks) == ({}, {})


def test_flatten_gives_plain_values_under_dotted_keys():
    nested = {"a": {"b": 1, "c": {"d": None}}, "e": [1, "x"], "f": True}
    assert flatten(nested) == {"a.b": 1, "a.c.d": None, "e": "[1, 'x']", "f": True}


def test_a_range_error_inside_a_nested_group_names_the_whole_key():
    assert mistake("data=hub", "data.hub.limit=0") == "data.hub.limit is 0; it must be at least 1"
    assert mistake("data.synthetic.detail=2") == "data.synthetic.detail is 2.0; it must be from 0 to 1"
