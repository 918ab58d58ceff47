"""Whole runs of `lai.train` on a toy model: what is trained, written and refused."""

import csv
import math
import subprocess

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from processes import lai_train, start_lai_train
from runs import TINY, example_lines, rows_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lai.export.lai_file import read_model
from lai.host.errors import UserError
from lai.model.transformer import ModelConfig
from lai.run import summary
from lai.run.build import build_datamodule, build_module, build_trainer
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


class Gradients(Callback):
    """Notes after every batch whether there are gradients."""

    def __init__(self):
        self.held = []

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.held.append(any(parameter.grad is not None for parameter in pl_module.parameters()))


def test_gradients_are_freed_after_each_step(compose_run, text_file):
    from lai.data.prepare import prepare_corpus

    run = compose_run(f"data.path={text_file}", "trainer.max_steps=2", "trainer.accumulate_grad_batches=2")
    corpus = prepare_corpus(run.data)
    gradients = Gradients()
    trainer = build_trainer(run, [gradients])
    module = build_module(run, ModelConfig.of(run.model, len(corpus.vocab)), corpus)
    fit(run, trainer, module, build_datamodule(run, corpus))
    assert gradients.held == [True, False, True, False]


def test_validation_file_is_not_trained_on(tmp_path, compose_run):
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


def test_accumulating_more_batches_than_an_epoch_has_is_refused(compose_run, text_file):
    with pytest.raises(UserError, match="accumulate_grad_batches is 64, but an epoch has 22 batches"):
        train(compose_run(f"data.path={text_file}", "trainer.accumulate_grad_batches=64"))


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
        (["optimizer.lr=1e9", "trainer.gradient_clip_val=null"], "10 steps in a row, .* not finite"),
        (["model.hidden_dim=16777216", "model.dim=16777216"], "not even one row fits; take a smaller model"),
        (
            ["+callbacks.a._target_=lightning.pytorch.callbacks.EarlyStopping", "+callbacks.a.monitor=val/los"],
            "callbacks: .*`val/los` which is not available",
        ),
        (["data.cache_dir={text}"], r"\.txt cannot be written to: File exists; .* data\.cache_dir=FOLDER"),
    ],
)
def test_mistake_is_one_line_that_names_it(tmp_path, compose_run, text_file, monkeypatch, overrides, words):
    monkeypatch.chdir(tmp_path)
    given = [override.format(text=text_file) for override in overrides]
    with pytest.raises(UserError, match=words) as raised:
        train(compose_run(f"data.path={text_file}", "trainer.max_epochs=2", *given))
    assert "\n" not in str(raised.value)


def test_closed_stdout_does_not_stop_training(tmp_path, text_file):
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


def test_mistake_on_the_command_line_is_one_line_and_status_2(tmp_path):
    done = lai_train("data.path=nowhere.txt", "trainer.accelerator=cpu", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip().count("\n") == 0
    assert "nowhere.txt" in done.stderr
    (log,) = tmp_path.glob("outputs/*-*-*/*-*-*/train.log")
    assert "error: nowhere.txt does not exist" in log.read_text()


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


@pytest.mark.heavy
def test_two_processes_measure_the_validation_loss_of_one(tmp_path, text_file):
    still = ("optimizer.lr=1e-9", "optimizer.embedding_lr=1e-9", "trainer.max_steps=1")  # the weights hardly change
    losses = {}
    for devices in (1, 2):
        run = (*TINY, f"data.path={text_file}", *still, f"trainer.devices={devices}", f"hydra.run.dir={devices}")
        done = lai_train(*run, "trainer.strategy=auto", cwd=tmp_path, OMP_NUM_THREADS="1")
        assert done.returncode == 0, done.stderr
        losses[devices] = [rows_of(tmp_path / str(devices), name)[-1][1] for name in ("val/loss", "val/bpb")]
    assert losses[2] == pytest.approx(losses[1], rel=1e-6)


def test_odd_text_trains(tmp_path, compose_run):
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
