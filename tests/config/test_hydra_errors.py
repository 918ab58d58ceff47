"""Every mistake on the command line is one line that names the key and the nearest valid one."""

import pytest
from hydra._internal.utils import get_args_parser
from mistakes import OUTPUT, mistake
from runs import composed

from lai.config.hydra_errors import _FLAGS, check_names, flags_first, flags_of
from lai.host.errors import UserError


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("optimizer.lrr=1", "optimizer.lrr; did you mean optimizer.lr=1?"),
        ("+optimizer.lrr=1", "optimizer.lrr; did you mean optimizer.lr=1?"),
        ("lr=1", "lr; did you mean optimizer.lr=1?"),
        ("+batch_size=1", "batch_size; did you mean data.batch_size=1?"),
        ("+data.synthetic.sentence=1", "data.synthetic.sentence; did you mean data.synthetic.sentences=1?"),
        ("trainer.max_epoch=3", "trainer.max_epoch; did you mean trainer.max_epochs=3?"),
        ("+trainer.max_epoch=3", "trainer.max_epoch; did you mean trainer.max_epochs=3?"),
        ("+callbacks.checkpoint.monitr=x", "did you mean callbacks.checkpoint.monitor=x?"),
        ("trainer.profiler=simple", "+trainer.profiler="),
        ("+model.vocab_size=9", "model.vocab_size; did you mean data.vocab_size=9?"),
        ("model=tinyy", "did you mean model=tiny?"),
        ("modell=tiny", "modell; did you mean model=tiny?"),
        ("optimizer.lr=fast", "optimizer.lr: Value 'fast'"),
        ("data.min_freq=2.5", "data.min_freq: Value '2.5'"),
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
        ("device.threads=100000", "device.threads is 100000; it must be from 1 to 1024"),
        ("device.num_workers=-1", "device.num_workers is -1"),
        ("device.num_workers=100000", "device.num_workers is 100000; it must be from 0 to 1024"),
        ("model.n_layers=1000000000", "model.n_layers is 1000000000; it must be from 1 to 1000"),
        ("model.hidden_dim=9999999999999", "model.hidden_dim is 9999999999999; it must be from 1 to 16777216"),
        ("model.max_seq_len=0", "model.max_seq_len is 0"),
        ("trainer.limit_train_batches=0", "trainer.limit_train_batches is 0"),
        ("device.max_batch_tokens=0", "device.max_batch_tokens is 0"),
        ("data.vocab_size=304", "data.vocab_size is 304; it must be from 305"),
        ("data.vocab_size=99999999999", "data.vocab_size is 99999999999; it must be from 305 to 16777216"),
        ("+optimizer.block_rows=0", "optimizer.block_rows is 0"),
        ("data.seq_len=4096", "model.max_seq_len, 512"),
        ("trainer.accelerator=tpux", "trainer.accelerator=tpux"),
        (
            "+callbacks.mine._target_=no.such.Thing",
            "callbacks.mine._target_: cannot import no.such.Thing: No module named 'no'",
        ),
        ("+callbacks.mine._target_=lai.config.No", "cannot import lai.config.No: No module named 'lai.config.No'"),
        ("+callbacks.mine=3", "callbacks.mine needs a _target_"),
        ("optimizer.lr=0,001", "optimizer.lr=0,001 has a decimal comma; write optimizer.lr=0.001"),
        ("data.val_fraction=0,05", "write data.val_fraction=0.05"),
        ("trainer.gradient_clip_val=0,5", "write trainer.gradient_clip_val=0.5"),
        ("optimizer.lr=1,5", "with a decimal point it is optimizer.lr=1.5; add -m to try both"),
        ("optimizer.lr=1e-3,3e-4", "several values; add -m to try them"),
        ("seed=0,05", "several values; add -m to try them"),  # a whole number
        ("lr=0,001", "no config key lr; did you mean optimizer.lr?"),
        ("epochs=ten", "did you mean trainer.max_epochs=ten?"),
        ("hydra.run.di=x", "no config key hydra.run.di; did you mean hydra.run.dir=x?"),
        ("~optimizer.weight_decai", "no config key optimizer.weight_decai; did you mean optimizer.weight_decay?"),
        ("export=x.bin", "give the model file's path as export.path=x.bin"),
        ("hydra/sweeper=optuna", "a plug-in of Hydra that is not installed: pip install hydra-optuna-sweeper"),
        ("hydra/sweeper/sampler=tpe", "pip install hydra-optuna-sweeper"),
        ("hydra/launcher=joblib", "pip install hydra-joblib-launcher"),
        ("hydra/launcher=submitit_slurm", "pip install hydra-submitit-launcher"),
        ("hydra/job_logging=colorlog", "pip install hydra-colorlog"),
        ("hydra/launcher=basik", "hydra/launcher is one of basic; did you mean hydra/launcher=basic?"),
        ("help", "did you mean --help?"),
        ("device=gpu", "device=auto, which takes the GPU that there is"),
        ("data=parallel", "data=text, which reads translation pairs, too"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(override, words, caplog):
    assert words in mistake(override)
    assert not caplog.text  # beside it


# What a person types who is used to other programs, and what they mean here.
MEANT = [
    (["epochs=10"], "trainer.max_epochs=10"),
    (["epoch=3"], "trainer.max_epochs=3"),
    (["trainer.epochs=3"], "trainer.max_epochs=3"),
    (["trainer.min_epoch=3"], "+trainer.min_epochs=3"),
    (["steps=3"], "trainer.max_steps=3"),
    (["learning_rate=1e-3"], "optimizer.lr=1e-3"),
    (["config=tiny"], "model=tiny"),
    (["config=guide"], "experiment=guide"),
    (["models=mini"], "model=mini"),
    (["model=conf/model/tiny.yaml"], "model=tiny"),
    (["model=Mini"], "model=mini"),
    (["modell.dim=64"], "model.dim=64"),
    (["layers=3"], "model.n_layers=3"),
    (["data=data/train.txt"], "data=text data.path=data/train.txt"),
    (["data=my.jsonl.gz"], "data=text data.path=my.jsonl.gz"),
    (["dataset=text"], "data=text"),
    (["dataset=data/train.txt"], "data=text data.path=data/train.txt"),
    (["data.file=a.txt"], "data.path=a.txt"),
    (["gpus=2"], "trainer.devices=2"),
    (["trainer.gpus=2"], "trainer.devices=2"),
    (["num_nodes=2"], "+trainer.num_nodes=2"),
    (["precision=16-mixed"], "trainer.precision=16-mixed"),
    (["trainer=ddp"], "trainer.strategy=ddp"),
    (["accelerator=cpu"], "trainer.accelerator=cpu"),
    (["device=CPU"], "device=cpu"),
    (["optim=muon"], "optimizer=muon"),
    (["scheduler=cosine"], "schedule=cosine"),
    (["logger=wandb"], "+logger.wandb._target_=lightning.pytorch.loggers.WandbLogger"),
    (["restore=last.ckpt"], "ckpt_path=last.ckpt"),
    (["output=x.bin"], "export.path=x.bin"),
    (["momentum=0.9"], "optimizer=muon optimizer.momentum=0.9"),
    (["optimizer=muon", "momentum=0.9"], "optimizer.momentum=0.9"),
    (["limit=5"], "data=hub data.hub.limit=5"),
    (["name=mine"], "model.name=mine"),
    (["profiler=simple"], "+trainer.profiler=simple"),
    (["model", "nano"], "model=nano"),
    (["nano"], "model=nano"),
    (["seed", "3"], "seed=3"),
    (["epochs:3"], "trainer.max_epochs=3"),
    (["data.path", "=", "my.txt"], "data.path=my.txt"),
    (["data.path=", "my.txt"], "data.path=my.txt"),
    (["my.txt"], "data=text data.path=my.txt"),
    (["last.ckpt"], "ckpt_path=last.ckpt"),
]


def test_the_multirun_flag_may_stand_between_overrides():
    assert flags_first(["model=nano", "-m", "seed=1,2"]) == ["-m", "model=nano", "seed=1,2"]
    assert flags_first(["--cfg", "job", "seed=1"]) == ["--cfg", "job", "seed=1"]


def test_overrides_may_stand_on_both_sides_of_a_flag():
    given = ["model=nano", "--config-dir", "my=conf", "seed=1", "--info", "-cn=other", "--info", "plugins", "~logger"]
    flags = ["--config-dir", "my=conf", "--info", "-cn=other", "--info", "plugins"]
    assert flags_first(given) == [*flags, "model=nano", "seed=1", "~logger"]


def test_processes_of_a_job_get_the_config_flags_of_the_sweep():
    given = ["-m", "--config-dir", "my=conf", "seed=1,2", "-cn=other", "~logger.csv", "--multirun", "-cd", "more"]
    assert flags_of(given) == ["--config-dir", "my=conf", "-cn=other", "-cd", "more"]


@pytest.mark.parametrize(
    ("typed", "meant"), MEANT, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_a_hint_names_what_was_meant_and_can_be_followed(typed, meant):
    line = mistake(*typed)
    assert line.endswith(f"did you mean {meant}?")
    composed(OUTPUT, *(override for override in typed if override == "optimizer=muon"), *meant.split())


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("resume=last.ckpt", "give a checkpoint as ckpt_path=FILE"), ("checkpoint=last.ckpt", "ckpt_path=last.ckpt")],
)
def test_a_checkpoint_under_another_name_is_shown_its_own(typed, meant):
    assert mistake(typed).endswith(meant)


@pytest.mark.parametrize("typed", ["foo=3", "resumption=3", "minibatch=3", "trainer.foo=3", "--foo", "-x"])
def test_an_unknown_name_without_a_near_one_gets_no_suggestion(typed):
    try:
        line = mistake(*flags_first([typed]))
    except UserError as error:
        line = str(error)
    assert line.endswith("see `lai-train --help` for the keys there are")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--epochs 10 --config tiny --device mps", "trainer.max_epochs=10 model=tiny device=mps"),
        ("--epochs=10 --batch-size=32 --lr 3e-4", "trainer.max_epochs=10 data.batch_size=32 optimizer.lr=3e-4"),
        ("--data data/train.txt --output lai.bin", "data=text data.path=data/train.txt export.path=lai.bin"),
        ("--ckpt last.ckpt --seed 3 --gpus 2", "ckpt_path=last.ckpt seed=3 trainer.devices=2"),
        ("--model mini --cpu seed=1", "model=mini device=cpu"),
        ("--data.path my.txt", "data.path=my.txt"),
    ],
)
def test_options_of_other_programs_are_translated_to_settings(typed, meant):
    with pytest.raises(UserError) as raised:
        flags_first(typed.split())
    assert str(raised.value).endswith(f"of lai-train; settings are written KEY=VALUE: {meant}")
    composed(OUTPUT, *meant.split())


def test_every_option_of_hydra_is_known():
    takes = {0: 0, None: 1, "?": "?"}
    for action in get_args_parser()._actions:
        for option in action.option_strings:
            assert takes[action.nargs] == _FLAGS[option], option


@pytest.mark.parametrize(
    "override", ["optimizer.lrr=1", "seed=1,2", "trainer.profiler=simple", "data.val_fraction=0,5"]
)
def test_an_added_callback_does_not_hide_another_mistake(override):
    added = "+callbacks.x._target_=lightning.pytorch.callbacks.EarlyStopping"
    assert mistake(added, "+callbacks.x.monitor=val/loss", override) == mistake(override)


def test_setting_a_groups_name_does_not_choose_an_option():
    with pytest.raises(UserError, match=r"model=mini chooses the option$"):
        check_names(["model.name=mini"])
    for fine in (["model=mini", "model.name=mini"], ["model.name=mine"], ["optimizer.name=muon"]):
        check_names(fine)
