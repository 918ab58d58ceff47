"""The config: every file composes, and every mistake is one line that names the key and the nearest valid one."""

import pytest
from runs import composed

from lai import assembly
from lai.config import CONF_DIR, flatten, load_run_config
from lai.errors import UserError
from lai.overrides import explain, flags_first, flags_of, is_the_same_in_all_jobs

GROUPS = sorted(path for path in CONF_DIR.glob("*/*.yaml") if path.parent.name != "experiment" and path.stem != "base")
EXPERIMENTS = sorted(path.stem for path in (CONF_DIR / "experiment").glob("*.yaml"))
OUTPUT = "output_dir=unused"


def mistake(*overrides: str) -> str:
    """The line that `lai-train` prints for these overrides."""
    try:
        load_run_config(composed(OUTPUT, *overrides))
    except Exception as error:
        found = explain(error, list(overrides))
        assert found is not None, f"not recognised as a mistake of the user's: {error!r}"
        assert "\n" not in str(found)
        return str(found)
    pytest.fail(f"{overrides} was accepted")


@pytest.mark.parametrize("file", GROUPS, ids=lambda file: f"{file.parent.name}={file.stem}")
def test_every_option_composes_and_fits_the_schema(file):
    extra = ["data.path=some.txt"] if file.parent.name == "data" else []
    run = load_run_config(composed(OUTPUT, f"{file.parent.name}={file.stem}", *extra))
    assert run.model.dim > 0


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_composes_and_fits_the_schema(name):
    assert load_run_config(composed(OUTPUT, f"experiment={name}")).model.name


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


def test_the_overrides_of_the_guide_arrive():
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


def test_a_sweep_may_be_asked_for_between_overrides():
    assert flags_first(["model=nano", "-m", "seed=1,2"]) == ["-m", "model=nano", "seed=1,2"]
    assert flags_first(["--cfg", "job", "seed=1"]) == ["--cfg", "job", "seed=1"]


def test_a_data_set_of_no_rows_is_refused():
    assert mistake("data=hub", "data.hub.limit=0") == "data.hub.limit is 0; it must be at least 1"


def test_a_jobs_processes_read_the_config_that_the_sweep_does():
    given = ["-m", "--config-dir", "my=conf", "seed=1,2", "-cn=other", "~logger.csv", "--multirun", "-cd", "more"]
    assert flags_of(given) == ["--config-dir", "my=conf", "-cn=other", "-cd", "more"]


def test_a_callbacks_mapping_is_left_to_its_class():
    more = "+callbacks.more._target_=lightning.pytorch.callbacks.GradientAccumulationScheduler"
    run = load_run_config(composed(OUTPUT, more, "+callbacks.more.scheduling={0:2,4:4}"))
    assert run.callbacks["more"]["scheduling"] == {0: 2, 4: 4}


def test_accelerator_decides_the_device_where_device_is_auto():
    run = load_run_config(composed(OUTPUT, "trainer.accelerator=mps"))
    assert (run.device.name, run.trainer["precision"], run.device.num_workers) == ("mps", "32-true", 0)
    assert run.device.tf32 is False
    run = load_run_config(composed(OUTPUT, "trainer.accelerator=cuda", "device.num_workers=9"))
    assert (run.device.name, run.trainer["precision"], run.device.num_workers) == ("cuda", "bf16-mixed", 9)
    assert run.device.tf32 is True


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("optimizer.lrr=1", "optimizer.lrr; did you mean optimizer.lr?"),
        ("+optimizer.lrr=1", "optimizer.lrr; did you mean optimizer.lr?"),
        ("lr=1", "lr; did you mean optimizer.lr?"),
        ("+batch_size=1", "batch_size; did you mean data.batch_size?"),
        ("+data.synthetic.sentence=1", "data.synthetic.sentence; did you mean data.synthetic.sentences?"),
        ("trainer.max_epoch=3", "trainer.max_epoch; did you mean trainer.max_epochs?"),
        ("+trainer.max_epoch=3", "trainer.max_epoch; did you mean trainer.max_epochs?"),
        ("+callbacks.checkpoint.monitr=x", "did you mean callbacks.checkpoint.monitor?"),
        ("trainer.profiler=simple", "+trainer.profiler="),
        ("+model.vocab_size=9", "model.vocab_size; did you mean data.vocab_size?"),
        ("model=tinyy", "did you mean model=tiny?"),
        ("modell=tiny", "modell; did you mean model?"),
        ("optimizer.lr=fast", "optimizer.lr: Value 'fast'"),
        ("data.batch_size=2.5", "data.batch_size: Value '2.5'"),
        ("model.tie_embeddings=perhaps", "model.tie_embeddings"),
        ("model.dim=null", "model.dim"),
        ("trainer.max_epochs=ten", "trainer.max_epochs: 'ten' is not"),
        ("trainer.gradient_clip_val=true", "trainer.gradient_clip_val: True is not"),
        ("seed=abc", "seed: 'abc' is not a whole number"),
        ("data.hub.limit=5", "data.hub.limit goes with data=hub"),
        ("optimizer.momentum=0.9", "optimizer.momentum goes with optimizer=muon"),
        ("ckpt_path.a=1", "ckpt_path"),
        ("+data.synthetic.templates={a: 1}", "data: a list stands where"),
        ("output_dir=7", "output_dir: 7 is not a path"),
        ("data=text", "data.path is missing"),
        ("~optimizer.beta1", "optimizer.beta1 is missing"),
        ("data.path=[", "cannot read the override 'data.path=[': "),
        ("data.path=~/szöveg.txt", """around them: 'data.path="~/szöveg.txt"'"""),
        ("ckpt_path=epoch=1.ckpt", """around them: 'ckpt_path="epoch=1.ckpt"'"""),
        ("model=3", "model"),
        ("optimizer.lr=-1", "optimizer.lr is -1.0"),
        ("data.val_fraction=1.5", "data.val_fraction is 1.5"),
        ("schedule.name=lineer", "did you mean linear?"),
        ("optimizer.name=sgd", "optimizer.name is 'sgd'; it must be one of adamw, muon"),
        ("export.dtype=f8", "export.dtype is 'f8'"),
        ("trainer.max_epochs=-1", "the run has no end"),
        ("trainer.max_epochs=null", "the run has no end"),
        ("trainer.max_time=3600", "trainer.max_time is 3600; it must be DD:HH:MM:SS"),
        ("trainer.gradient_clip_val=-1", "trainer.gradient_clip_val is -1"),
        ("trainer.gradient_clip_val=nan", "trainer.gradient_clip_val is nan"),
        ("trainer.val_check_interval=0", "trainer.limit_val_batches=0 leaves validation out"),
        ("trainer.check_val_every_n_epoch=-1", "trainer.check_val_every_n_epoch is -1"),
        ("+trainer.min_epochs=99", "trainer.min_epochs is 99, more than trainer.max_epochs"),
        ("optimizer.eps=inf", "optimizer.eps is inf"),
        ("optimizer.lr=${nope}", "optimizer.lr: "),
        ("optimizer.lr=${optimizer.lr}", "optimizer.lr"),
        ("+experiment=quickstart", "leave out the plus sign: experiment=…"),
        ("trainer.accumulate_grad_batches=0", "trainer.accumulate_grad_batches is 0"),
        ("trainer.precision=16-true", "trainer.precision is 16-true, but weights are trained in float32"),
        ("device.precision=64", "trainer.precision is 64, but"),
        ("+trainer.fast_dev_run=true", "+estimate=true tries a run out"),
        ("data.path=a.txt,b.txt", "add -m to try them one after another, or write data.path=[a.txt,b.txt]"),
        ("device.threads=0", "device.threads is 0"),
        ("device.threads=100000", "device.threads is 100000; it must be at most"),
        ("device.num_workers=-1", "device.num_workers is -1"),
        ("device.num_workers=100000", "device.num_workers is 100000; it must be at most"),
        ("model.n_layers=1000000000", "model.n_layers is 1000000000; it must be at most"),
        ("model.hidden_dim=10000000000000000000000", "model.hidden_dim is 10000000000000000000000; it must be at most"),
        ("model.max_seq_len=0", "model.max_seq_len is 0"),
        ("trainer.limit_train_batches=0", "trainer.limit_train_batches is 0"),
        ("device.max_batch_tokens=0", "device.max_batch_tokens is 0"),
        ("data.vocab_size=304", "data.vocab_size is 304; it must be from 305"),
        ("data.vocab_size=99999999999", "data.vocab_size is 99999999999; it must be from 305 to 16777216"),
        ("+optimizer.block_rows=0", "optimizer.block_rows is 0"),
        ("data.seq_len=4096", "model.max_seq_len, 512"),
        ("trainer.accelerator=tpux", "trainer.accelerator=tpux"),
        ("+callbacks.mine._target_=no.such.Thing", "callbacks.mine._target_"),
        ("+callbacks.mine=3", "callbacks.mine needs a _target_"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(override, words):
    assert words in mistake(override)


@pytest.mark.parametrize(
    ("overrides", "lr"),
    [
        ([], 0.125 / 128),
        (["model.dim=512"], 0.125 / 512),
        (["optimizer.lr=0.1"], 0.1),
        (["optimizer=muon"], 0.02 / 128**0.5),
        (["optimizer=muon", "model.dim=512"], 0.01 / 128**0.5),
    ],
)
def test_the_rate_of_the_matrices_falls_with_the_width(overrides, lr):
    run = load_run_config(composed(OUTPUT, "model=nano", *overrides))
    assert run.optimizer.lr == pytest.approx(lr)
    assert run.optimizer.embedding_lr == composed("model=tiny", *overrides).optimizer.embedding_lr  # for every width


def test_an_impossible_width_is_told_as_such_and_not_by_its_rate():
    run = load_run_config(composed(OUTPUT, "model.dim=0"))
    with pytest.raises(UserError, match=r"model\.dim is 0"):
        assembly.model_config(run.model, 300)


def test_a_run_needs_neither_loggers_nor_callbacks():
    run = load_run_config(composed(OUTPUT, "~logger", "~callbacks"))
    assert (run.logger, run.callbacks) == ({}, {})


def test_a_batch_that_mps_computes_wrongly_is_refused():
    assert "32768" in mistake("device=mps", "data.batch_size=65")


def test_flatten_gives_plain_values_under_dotted_keys():
    nested = {"a": {"b": 1, "c": {"d": None}}, "e": [1, "x"], "f": True}
    assert flatten(nested) == {"a.b": 1, "a.c.d": None, "e": "[1, 'x']", "f": True}


@pytest.mark.parametrize(
    ("arguments", "same"),
    [
        (["-m", "seed=1,2", "export.path=one.bin"], True),
        (["-m", "optimizer.lr=choice(1e-3,3e-4)", "export.path='one.bin'"], True),
        (["-m", "seed=1,2"], False),
        (["-m", "export.path=a.bin,b.bin"], False),
        (["-m", "seed=choice(1)", "export.path=one.bin"], False),
        (["-m", "seed=1,2", "seed=3", "export.path=one.bin"], False),
        (["-m", "seed=1,2", "export.path=job${hydra:job.num}.bin"], False),
        (["-m", "seed=1,2", "export.path=one.bin", "export.path=job${seed}.bin"], False),
        (["-m", "-cd", "/tmp/a=b", "seed=1,2", "export.path=job${seed}.bin"], False),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_value_that_several_jobs_share_is_told_from_the_command_line(arguments, same):
    assert is_the_same_in_all_jobs("export.path", arguments) is same
