"""Whole runs of `lai.train` on a toy model: what is trained, written and refused."""

import csv
import errno
import logging
import math
import os
import re
import subprocess

import pytest
import torch
from filelock import FileLock
from lightning.pytorch.callbacks import Callback
from processes import lai_train, start_lai_train
from runs import TINY, example_lines, rows_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lai.export.checkpoint import read_checkpoint
from lai.export.lai_file import read_model
from lai.host.errors import UserError
from lai.model.transformer import ModelConfig
from lai.run import summary
from lai.run.build import build_datamodule, build_module, build_trainer
from lai.run.device import prepare_device
from lai.run.fit import fit
from lai.tokenizer.chat import render
from lai.tokenizer.vocab import Vocab
from lai.train import train


def test_a_run_trains_writes_its_files_and_exports(tmp_path, compose_run, text_file):
    run = compose_run(f"data.path={text_file}", "trainer.max_epochs=4", "trainer.log_every_n_steps=1")
    loss = train(run)
    with (tmp_path / "run" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    losses = [float(row["train/loss"]) for row in rows if row["train/loss"]]
    vocab_size = read_model(tmp_path / "model.bin").config.vocab_size
    assert losses[0] == pytest.approx(math.log(vocab_size), rel=0.02)
    assert losses[-1] < losses[0] - 1
    validation = [float(row["val/loss"]) for row in rows if row["val/loss"]]
    assert len(validation) == 4
    assert loss == pytest.approx(min(validation), abs=1e-5)
    events = EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    logged = set(events.Tags()["scalars"])
    names = {"train/loss", "val/loss", "val/bpb", "train/lr", "train/grad_norm", "train/tokens_per_second"}
    assert names <= logged
    assert names <= set(rows[0])
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()


class Evaluated(Callback):
    """Sums the loss of every validation document by itself, in float64 and outside of packing."""

    def __init__(self, shards):
        self.val = shards.val

    def on_fit_end(self, trainer, pl_module):
        nats = tokens = 0
        text = 0
        vocab = Vocab.from_bytes(pl_module.vocab)
        with torch.no_grad():
            for index in range(len(self.val)):
                ids = torch.from_numpy(self.val.document(index).astype("int64"))
                logits = pl_module.model(ids[None, :-1])[0].double()
                nats -= logits.log_softmax(-1).gather(1, ids[1:, None]).sum().item()
                tokens += len(ids) - 1
                text += len(vocab.decode(ids.tolist()))
        self.loss, self.bpb = nats / tokens, nats / math.log(2) / text


def test_validation_is_the_mean_over_tokens_and_bytes_of_whole_documents(tmp_path, compose_run, text_file):
    run = compose_run(f"data.path={text_file}", "trainer.max_steps=3", "data.val_fraction=0.3")
    from lai.callbacks.export import ExportModel
    from lai.data.prepare import prepare_corpus

    corpus = prepare_corpus(run.data)
    export = ExportModel(tmp_path / "model.bin")
    trainer = build_trainer(run, export.callbacks)
    evaluated = Evaluated(corpus.token_files)
    trainer.callbacks.append(evaluated)
    module = build_module(run, ModelConfig.of(run.model, len(corpus.vocab)), corpus)
    fit(run, trainer, module, build_datamodule(run, corpus))
    assert export.metrics["val/loss"] == pytest.approx(evaluated.loss, rel=1e-4)
    assert export.metrics["val/bpb"] == pytest.approx(evaluated.bpb, rel=1e-4)


def test_generated_text_is_validated_beside_its_floor(tmp_path, compose_run):
    """The floor, counted again: the -log p of the documents drawn for validation, a token and a byte."""
    from lai.data.prepare import prepare_corpus
    from lai.data.synthetic import SyntheticConfig, draw

    small = {"sentences": 400, "stories": 0, "translations": 200, "instructions": 0, "lexicon": "small"}
    run = compose_run(*(f"data.synthetic.{key}={value}" for key, value in small.items()), "trainer.max_steps=3")
    train(run)
    corpus = prepare_corpus(run.data)
    examples = list(draw(SyntheticConfig(**small), 40, seed=0))
    assert len(corpus.token_files.val) == 40
    nats = -math.fsum(example.log_prob for example in examples)
    tokens = sum(len(corpus.token_files.val.document(index)) - 1 for index in range(40))
    assert corpus.floor.loss == pytest.approx(nats / tokens)
    assert corpus.floor.bpb == pytest.approx(
        nats / math.log(2) / sum(len(render(example.document)) for example in examples)
    )
    logged = (tmp_path / "run" / "metrics.csv").read_text()
    assert "val/loss_floor" in logged and str(corpus.floor.loss)[:6] in logged
    run.trainer["limit_val_batches"] = 1  # other documents than those of the floor
    module = build_module(run, ModelConfig.of(run.model, len(corpus.vocab)), corpus)
    assert module.references == {}


def test_a_compiled_run_learns_the_same(tmp_path, compose_run, text_file, caplog):
    caplog.set_level(logging.INFO)
    common = (f"data.path={text_file}", "trainer.max_epochs=2", "trainer.precision=32-true")
    plain = train(compose_run(*common, "device.compile=false", f"output_dir={tmp_path / 'plain'}"))
    compiled = compose_run(*common, "device.compile=true")
    try:
        prepare_device(compiled)
    except UserError as error:
        pytest.skip(str(error))
    assert ", compiled" not in caplog.text
    assert train(compiled) == pytest.approx(plain, rel=1e-4)
    assert "precision 32-true, compiled" in caplog.text
    names = [read_checkpoint(tmp_path / name / "checkpoints" / "last.ckpt").weights.keys() for name in ("plain", "run")]
    assert names[0] == names[1]


class Gradients(Callback):
    """Notes after every batch whether there are gradients."""

    def __init__(self):
        self.held = []

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.held.append(any(parameter.grad is not None for parameter in pl_module.parameters()))


def test_gradients_do_not_outlive_the_step_that_they_are_for(compose_run, text_file):
    from lai.data.prepare import prepare_corpus

    run = compose_run(f"data.path={text_file}", "trainer.max_steps=2", "trainer.accumulate_grad_batches=2")
    corpus = prepare_corpus(run.data)
    gradients = Gradients()
    trainer = build_trainer(run, [gradients])
    module = build_module(run, ModelConfig.of(run.model, len(corpus.vocab)), corpus)
    fit(run, trainer, module, build_datamodule(run, corpus))
    assert gradients.held == [True, False, True, False]


def test_a_file_to_validate_with_is_not_trained_on(tmp_path, compose_run):
    from lai.data.prepare import prepare_corpus

    (tmp_path / "text").mkdir()
    for name, count in (("train", 50), ("val", 10)):
        (tmp_path / "text" / f"{name}.txt").write_text("\n".join(f"{name} {number}" for number in range(count)))
    val = tmp_path / "text" / "val.txt"
    run = compose_run(f"data.path={tmp_path / 'text'}", f"data.val_path={val}")
    corpus = prepare_corpus(run.data)
    assert (len(corpus.token_files.train), len(corpus.token_files.val), corpus.floor) == (50, 10, None)
    module = build_module(run, ModelConfig.of(run.model, len(corpus.vocab)), corpus)
    first = next(summary.start(run, corpus, module, build_trainer(run, [])))
    assert "train.txt: 50 documents" in first
    with pytest.raises(UserError, match="nothing is left to train on"):
        prepare_corpus(compose_run(f"data.path={val}", f"data.val_path={val}").data)


def test_more_batches_a_step_than_an_epoch_has_are_refused(compose_run, text_file):
    with pytest.raises(UserError, match="accumulate_grad_batches is 64, but an epoch has 22 batches"):
        train(compose_run(f"data.path={text_file}", "trainer.accumulate_grad_batches=64"))


def test_what_a_step_reads_is_told(compose_run, text_file, caplog):
    with caplog.at_level("INFO", logger="lai"):
        train(compose_run(f"data.path={text_file}", "trainer.max_epochs=1", "trainer.accumulate_grad_batches=8"))
    assert "batches of 4 x 64 tokens, 8 a step (32 rows, 2,048 tokens), 1 epoch" in caplog.text
    assert "the last step of each epoch has 6 batches instead of 8" in caplog.text
    assert "step 3/3" in caplog.text


def test_stopping_inside_an_epoch_validates_and_exports_the_last_weights(tmp_path, compose_run, text_file):
    run = compose_run(f"data.path={text_file}", "trainer.max_steps=5", "trainer.max_epochs=-1")
    assert math.isfinite(train(run))
    weights = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt").weights
    exported = read_model(tmp_path / "model.bin").weights
    assert all(torch.equal(exported[name], weights[name]) for name in exported)


def test_a_model_that_cannot_be_written_is_still_in_a_checkpoint(tmp_path, compose_run, text_file, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("lai.callbacks.export.export_model", full)
    with pytest.raises(UserError, match=r"No space left on device.*lai-export \S+/step3\.ckpt"):
        train(compose_run(f"data.path={text_file}", "trainer.max_steps=3"))


def test_max_time_ends_a_run_and_exports(tmp_path, compose_run, text_file):
    train(compose_run(f"data.path={text_file}", "trainer.max_epochs=-1", "trainer.max_time=00:00:00:03"))
    assert read_model(tmp_path / "model.bin").config.dim == 32


def test_early_stopping_exports_the_best_weights(tmp_path, compose_run, text_file):
    run = compose_run(
        f"data.path={text_file}",
        "trainer.max_epochs=20",
        "optimizer.lr=3.0",  # so high that the loss soon rises
        "schedule=constant",
        "trainer.check_val_every_n_epoch=1",
        "+callbacks.stop._target_=lightning.pytorch.callbacks.EarlyStopping",
        "+callbacks.stop.monitor=val/loss",
        "+callbacks.stop.patience=2",
        "+callbacks.stop.check_finite=false",
    )
    loss = train(run)
    found = [value for _, value in rows_of(tmp_path / "run", "val/loss")]
    assert len(found) < 20
    assert loss == pytest.approx(min(found), abs=1e-4)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["export.path=."], "is a folder"),
        (["export.path=text.txt/model.bin"], "cannot be written"),
        (["export.path={text}"], "another kind of file"),
        (["ckpt_path=no.ckpt"], "no such file"),
        (["ckpt_path={text}"], "not a whole checkpoint"),
        (["data.vocab_path=no.bin"], "no such file"),
        (["export.dtype=q4_0", "model.dim=36", "model.n_heads=2"], "multiples of 32"),
        (["data.path=2024"], "data.path is 2024"),
        (["data.path="], "data.path is empty"),
        (["seed=99999999999999"], "seed is 99999999999999"),
        (["trainer.val_check_interval=100000"], "val_check_interval"),
        (["trainer.max_steps=0"], "trainer.max_steps is 0"),
        (["+trainer.gradient_clip_algorithm=value"], "gradient_clip_algorithm is 'value'"),
        (["+trainer.overfit_batches=2"], "overfit_batches"),
        (["~seed"], "seed: None is not a whole number"),
        (["optimizer.lr=1e9", "trainer.gradient_clip_val=null"], "diverged"),
        (["model.hidden_dim=16777216", "model.dim=16777216"], "not even one row fits; take a smaller model"),
        (
            ["+callbacks.a._target_=lightning.pytorch.callbacks.EarlyStopping", "+callbacks.a.monitor=val/los"],
            "callbacks: .*`val/los` which is not available",
        ),
        (["data.cache_dir={text}"], r"\.txt cannot be written to: File exists; .* data\.cache_dir=FOLDER"),
    ],
)
def test_a_mistake_is_told_as_such(tmp_path, compose_run, text_file, monkeypatch, overrides, words):
    monkeypatch.chdir(tmp_path)
    given = [override.format(text=text_file) for override in overrides]
    with pytest.raises(UserError, match=words) as raised:
        train(compose_run(f"data.path={text_file}", "trainer.max_epochs=2", *given))
    assert "\n" not in str(raised.value)


def test_metrics_of_an_earlier_run_in_the_same_folder_are_kept(tmp_path, compose_run, text_file):
    for _ in range(3):
        train(compose_run(f"data.path={text_file}", "trainer.max_steps=1", "trainer.log_every_n_steps=1"))
    names = sorted(path.name for path in (tmp_path / "run").glob("metrics*.csv"))
    assert names == ["metrics-1.csv", "metrics-2.csv", "metrics.csv"]


def test_the_command_prints_what_a_person_needs(tmp_path, text_file):
    # Without a list of fonts, as on a new machine: matplotlib, where it is installed, makes one and tells of it.
    fonts = {"MPLCONFIGDIR": str(tmp_path / "fonts")}
    done = lai_train(*TINY, f"data.path={text_file}", "trainer.max_steps=2", cwd=tmp_path, **fonts)
    assert done.returncode == 0, done.stderr
    assert "font" not in done.stdout
    for words in ("documents", "exact duplicates", "parameters", "without the embedding", "models/lai-tiny.bin"):
        assert words in done.stdout
    assert (tmp_path / "models" / "lai-tiny.bin").is_file()
    runs = list(tmp_path.glob("outputs/*-*-*/*-*-*"))
    assert len(runs) == 1
    for name in ("config.yaml", "train.log", "metrics.csv", "checkpoints/last.ckpt"):
        assert (runs[0] / name).is_file(), name
    assert list(runs[0].glob("events.out.tfevents.*"))


def test_a_reader_that_goes_away_takes_nothing_but_the_words_with_it(tmp_path, text_file):
    run = (*TINY, f"data.path={text_file}", "trainer.max_steps=2", "hydra.run.dir=run")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with start_lai_train(*run, cwd=tmp_path, text=True, **pipes) as process:
        process.stdout.readline()
        process.stdout.close()  # as `| head -n 1` does
        errors = process.stderr.read()
        assert process.wait(timeout=300) == 0
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors
    assert (tmp_path / "models" / "lai-tiny.bin").is_file()
    assert "lai-tiny.bin" in (tmp_path / "run" / "train.log").read_text()


def test_a_users_mistake_is_one_line_and_a_status(tmp_path):
    done = lai_train("data.path=nowhere.txt", "trainer.accelerator=cpu", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip().count("\n") == 0
    assert "nowhere.txt" in done.stderr
    (log,) = tmp_path.glob("outputs/*-*-*/*-*-*/train.log")
    assert "error: nowhere.txt does not exist" in log.read_text()


def test_compiling_without_a_compiler_is_refused_before_any_work(tmp_path):
    nothing = {"CXX": str(tmp_path / "no-compiler"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "compiled")}
    done = lai_train("trainer.accelerator=cpu", "device.compile=true", cwd=tmp_path, **nothing)
    assert done.returncode == 2
    assert re.fullmatch(r"error: device\.compile=true, but .*no-compiler.*device\.compile=false\n", done.stderr), done


def test_a_gpu_that_the_run_does_not_use_is_not_advertised(compose_run, text_file, monkeypatch, recwarn):
    monkeypatch.setattr("lightning.pytorch.accelerators.CUDAAccelerator.is_available", staticmethod(lambda: True))
    build_trainer(compose_run(f"data.path={text_file}"), [])
    assert not [warning for warning in recwarn if "GPU" in str(warning.message)]


@pytest.mark.parametrize(
    "settings",
    [
        ("trainer.max_epochs=2", "trainer.val_check_interval=0.6"),
        ("trainer.max_epochs=3", "trainer.check_val_every_n_epoch=2"),
        ("trainer.max_epochs=1", "trainer.check_val_every_n_epoch=5", "+trainer.min_epochs=1"),
        ("trainer.max_epochs=2", "trainer.check_val_every_n_epoch=null", "trainer.val_check_interval=5"),
        ("trainer.max_steps=7", "trainer.check_val_every_n_epoch=5", "+trainer.min_epochs=2"),
        ("trainer.max_epochs=-1", "trainer.check_val_every_n_epoch=1000", "+trainer.max_time={seconds: 2}"),
    ],
)
def test_the_last_step_is_validated_and_kept_wherever_a_run_ends(tmp_path, compose_run, text_file, settings):
    train(compose_run(f"data.path={text_file}", "trainer.log_every_n_steps=1", *settings))
    steps = [step for step, _ in rows_of(tmp_path / "run", "train/loss")]
    assert rows_of(tmp_path / "run", "val/loss")[-1][0] == steps[-1]
    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=False)
    assert checkpoint["global_step"] == len(steps) == steps[-1]


@pytest.mark.parametrize(
    ("given", "threads", "expected"), [("3", "null", 3), ("3", "2", 2), (None, "2", 2), (None, "null", 4)]
)
def test_each_process_has_the_threads_that_were_asked_for(compose_run, monkeypatch, given, threads, expected):
    before = torch.get_num_threads()
    monkeypatch.setattr("lai.run.device._THREADS", int(given or 8))  # as PyTorch reads it when it is imported
    monkeypatch.setenv("OMP_NUM_THREADS", "")  # so that it is put back
    monkeypatch.delenv("OMP_NUM_THREADS")
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    try:
        build_trainer(compose_run(f"device.threads={threads}", "trainer.devices=2"), [])
        assert torch.get_num_threads() == int(os.environ["OMP_NUM_THREADS"]) == expected
    finally:
        torch.set_num_threads(before)


def test_output_dir_is_hydras_folder(tmp_path):
    done = lai_train("output_dir=runs/a", "device=cpu", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "hydra.run.dir=runs/a" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_another_run_writes_to_is_refused(tmp_path):
    with FileLock(tmp_path / ".lock"):
        done = lai_train("trainer.accelerator=cpu", f"hydra.run.dir={tmp_path}", cwd=tmp_path)
    assert done.returncode == 2
    assert "another run is writing to" in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "config.yaml").exists()


@pytest.mark.slow
def test_two_processes_train_one_model(tmp_path, text_file):
    done = lai_train(
        *TINY,
        "optimizer=muon",
        f"data.path={text_file}",
        "trainer.max_steps=4",
        "trainer.devices=2",
        "trainer.strategy=ddp",
        cwd=tmp_path,
        OMP_NUM_THREADS="1",
    )
    assert done.returncode == 0, done.stderr
    assert read_model(tmp_path / "models" / "lai-tiny.bin").config.dim == 32


@pytest.mark.slow
def test_two_processes_measure_what_one_does(tmp_path, text_file):
    still = ("optimizer.lr=1e-9", "optimizer.embedding_lr=1e-9", "trainer.max_steps=1")  # the weights hardly change
    losses = {}
    for devices in (1, 2):
        run = (*TINY, f"data.path={text_file}", *still, f"trainer.devices={devices}", f"hydra.run.dir={devices}")
        done = lai_train(*run, "trainer.strategy=auto", cwd=tmp_path, OMP_NUM_THREADS="1")
        assert done.returncode == 0, done.stderr
        losses[devices] = [rows_of(tmp_path / str(devices), name)[-1][1] for name in ("val/loss", "val/bpb")]
    assert losses[2] == pytest.approx(losses[1], rel=1e-6)


def test_a_corpus_with_every_oddity_trains(tmp_path, compose_run):
    odd = [
        "",
        "   ",
        "plain <user> text with </assistant> in it",
        "<user>unclosed",
        "<user>ok</user><assistant>fine</assistant>",
        "emoji 👩‍👩‍👧‍👦 and NFD e\u0301 and ▁ mark",
        "tab\tand\x00nul and \x0b\x0c\u2028 breaks",
        "a" * 5000,
    ]
    path = tmp_path / "odd.txt"
    path.write_bytes(
        b"\xef\xbb\xbf"
        + "\r\n".join([*odd, *example_lines(60), *example_lines(20)]).encode()
        + b"\r\nbad \xff\xfe\xc3 bytes"
    )
    assert math.isfinite(train(compose_run(f"data.path={path}", "trainer.max_steps=3")))
