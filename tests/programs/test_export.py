"""The programs around training, run as a person runs them: generate, info, export, plot_metrics."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lai import info
from lai.config.compose import compose_run
from lai.data.tokens.build import prepare_shards
from lai.export.checkpoint import read_checkpoint
from lai.export.lai_file import read_model, write_model
from lai.host.errors import UserError
from lai.model.module import LanguageModel
from lai.model.record import TrainingRecord
from lai.model.transformer import ModelConfig, Transformer

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def config(small_vocab):
    return ModelConfig(
        dim=32, hidden_dim=64, n_layers=1, n_heads=2, n_kv_heads=2, vocab_size=len(small_vocab), max_seq_len=64
    )


@pytest.fixture
def model_file(tmp_path, config, small_vocab):
    torch.manual_seed(0)
    write_model(tmp_path / "m.bin", config, Transformer(config).state_dict(), small_vocab)
    return tmp_path / "m.bin"


@pytest.fixture
def checkpoint(tmp_path, config, small_vocab):
    """A checkpoint as Lightning writes it, and the module it is of."""
    import lightning

    run = compose_run(["model=nano"])
    lengths = torch.from_numpy(small_vocab.byte_lengths.copy())
    module = LanguageModel(config, small_vocab.to_bytes(), lengths, run.optimizer, run.schedule)
    trainer = lightning.Trainer(accelerator="cpu", logger=False, max_steps=0, enable_progress_bar=False)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(tmp_path / "x.ckpt", weights_only=True)
    return tmp_path / "x.ckpt", module


def test_generate_answers_and_is_repeatable(run, model_file):
    arguments = ("-m", model_file, "-p", "dog", "--tokens", 12, "--seed", 5)
    status, first, _ = run("lai.generate", *arguments)
    assert (status, first) == (0, run("lai.generate", *arguments)[1])
    assert first.strip()
    status, greedy, _ = run("lai.generate", "-m", model_file, "--raw", "-p", "The", "--temp", 0, "--tokens", 5)
    assert status == 0
    assert greedy


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-m", "no/such.bin", "-p", "x"), "no/such.bin"),
        (("-p", "x", "--temp", -1), "--temp is -1"),
        (("-p", "dog " * 200), "context holds 64"),
        (("-f", "no/such.txt"), "no/such.txt"),
        (("-f", os.devnull), "the prompt is empty"),
        (("-p", ""), "the prompt is empty"),
        (("-p", " \t\n\v"), "the prompt is empty"),
        (("-t", ""), "the prompt is empty"),
        (("--to-en", "  "), "the prompt is empty"),
        (("-p", "x", "--temp", "inf"), "--temp is inf"),
        (("-p", "x", "--device", "cuda"), "--device cuda"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(run, model_file, arguments, words):
    if words == "--device cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    if "-m" not in arguments:
        arguments = ("-m", model_file, *arguments)
    status, _, error = run("lai.generate", *arguments)
    assert status == 2
    assert error.startswith("error: ")
    assert words in error
    assert error.count("\n") == 1


def test_export_makes_the_same_file_from_the_checkpoint_alone(run, tmp_path, checkpoint):
    path, module = checkpoint
    status, output, _ = run(SCRIPTS / "export.py", path, "--output", tmp_path / "e.bin")
    assert status == 0
    assert "parameters" in output
    read = read_model(tmp_path / "e.bin")
    for name, value in module.model.state_dict().items():
        assert torch.equal(read.weights[name], value)
    (tmp_path / "link.bin").symlink_to(tmp_path / "h.bin")
    status, _, _ = run(SCRIPTS / "export.py", path, "--output", tmp_path / "link.bin", "--dtype", "f16")
    assert (tmp_path / "link.bin").is_symlink()
    assert status == 0
    assert read_model(tmp_path / "h.bin").dtype == "f16"
    status, _, error = run(SCRIPTS / "export.py", path, "--output", tmp_path)
    assert status == 2 and "is a folder" in error
    before = path.read_bytes()
    status, _, error = run(SCRIPTS / "export.py", path, "--output", path)
    assert status == 2 and "another kind of file" in error
    assert path.read_bytes() == before
    status, _, error = run(SCRIPTS / "export.py", tmp_path / "none.ckpt", "--output", tmp_path / "n.bin")
    assert (status, error.count("\n")) == (2, 1)
    (tmp_path / "cut.ckpt").write_bytes(checkpoint[0].read_bytes()[:20000])
    status, _, error = run(SCRIPTS / "export.py", tmp_path / "cut.ckpt", "--output", tmp_path / "n.bin")
    assert (status, error.count("\n")) == (2, 1) and "is not a whole checkpoint" in error
    assert "Error)" not in error  # the names of Python's classes tell a user nothing


def test_generate_begins_a_text_from_nothing_where_that_is_asked_for(run, model_file):
    status, output, _ = run("lai.generate", "-m", model_file, "--raw", "-p", "", "--tokens", 5, "--seed", 1)
    assert status == 0 and output.strip()


TRAINING = TrainingRecord(steps=10, tokens=4096, val_loss=5.5, val_loss_floor=1.0)


def with_training(checkpoint, path, training):
    """The checkpoint after so much training; None: as lai.train wrote it before it told."""
    content = torch.load(checkpoint, weights_only=True)
    if training is None:
        del content["lai"]["training"]
    else:
        content["lai"]["training"] = training
    content["global_step"] = 10
    torch.save(content, path)
    return path


def test_export_writes_a_model_file_in_another_dtype(run, tmp_path, checkpoint):
    """The same bytes as from the checkpoint, with the record of its training."""
    path = with_training(checkpoint[0], tmp_path / "trained.ckpt", TRAINING.to_dict())
    script = SCRIPTS / "export.py"
    for dtype in ("f32", "f16", "q4_0"):
        assert run(script, path, "--output", tmp_path / f"{dtype}.bin", "--dtype", dtype)[0] == 0
        status, output, _ = run(script, tmp_path / "f32.bin", "--output", tmp_path / "r.bin", "--dtype", dtype)
        assert status == 0 and "note" not in output
        assert (tmp_path / "r.bin").read_bytes() == (tmp_path / f"{dtype}.bin").read_bytes()
        assert read_model(tmp_path / "r.bin").training == TRAINING
    for dtype, is_told in (("f16", True), ("q4_0", False)):
        status, output, _ = run(script, tmp_path / "q4_0.bin", "--output", tmp_path / "r.bin", "--dtype", dtype)
        assert status == 0 and ("are rounded to q4_0 already" in output) is is_told
    assert f"the earlier r.bin is kept as {tmp_path / 'r.4.bin'}" in output


def test_export_refuses_the_name_of_another_kind_of_file(run, tmp_path, checkpoint):
    status, output, error = run(SCRIPTS / "export.py", checkpoint[0], "--output", tmp_path / "x.gguf")
    assert (status, output, error.count("\n")) == (2, "", 1)
    assert "ends in .gguf, and LAi writes no such file" in error
    assert not (tmp_path / "x.gguf").exists()


def test_a_model_file_is_no_checkpoint(model_file):
    with pytest.raises(UserError, match="is a model file; expected a checkpoint"):
        read_checkpoint(model_file)


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        (TRAINING.to_dict(), TRAINING),
        (None, TrainingRecord(steps=10)),
        ({"steps": -1, "tokens": 2**64, "val_loss": float("nan"), "val_loss_floor": 1e300}, TrainingRecord()),
        ({"steps": "many", "val_loss": None, "more": 1}, TrainingRecord()),
    ],
)
def test_a_checkpoint_tells_how_far_it_is_trained(run, tmp_path, checkpoint, training, expected):
    path = with_training(checkpoint[0], tmp_path / "trained.ckpt", training)
    assert read_checkpoint(path).training == expected
    assert run(SCRIPTS / "export.py", path, "--output", tmp_path / "m.bin")[0] == 0
    assert read_model(tmp_path / "m.bin").training == expected
    for file in (path, tmp_path / "m.bin"):
        rows = dict(info.describe(file))
        assert rows["steps"] == (str(expected.steps) if expected.steps else "unknown")
        assert rows["val/loss"] == ("5.5000, floor 1.0000" if expected.val_loss else "unknown")


def test_info_knows_each_of_our_files(run, tmp_path, model_file, checkpoint, small_vocab, text_file):
    small_vocab.save(tmp_path / "vocab.bin")
    shards = prepare_shards(text_file, small_vocab, tmp_path / "cache", val_fraction=0.1, split_seed=0)
    parameters = sum(value.numel() for value in checkpoint[1].model.parameters())
    for path, words in (
        (model_file, f"{parameters:,} ("),
        (checkpoint[0], f"{parameters:,} ("),
        (tmp_path / "vocab.bin", f"{len(small_vocab):,} tokens"),
        (shards.folder, small_vocab.fingerprint),
    ):
        status, output, _ = run("lai.info", path)
        assert status == 0
        assert words in output, path


def test_a_program_whose_output_nobody_takes_ends_in_peace(model_file):
    for shell in ("exec %s >&-", "exec %s | true"):
        command = shell % f"'{sys.executable}' -m lai.generate -m '{model_file}' -p dog --tokens 3"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
        assert done.stderr == ""


@pytest.mark.parametrize("content", [b"", b"PK", b"LAi1", b"VIAL", b"hello"])
def test_info_refuses_what_is_none_of_ours(tmp_path, content):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(UserError, match="f") as raised:
        info.describe(tmp_path / "f")
    assert "\n" not in str(raised.value)


def test_plot_metrics_draws_a_run(run, tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "metrics.csv").write_text("epoch,step,train/loss,val/loss\n0,9,3.5,\n0,19,2.5,\n0,19,,2.75\n")
    status, _, _ = run(SCRIPTS / "plot_metrics.py", tmp_path, "--output", tmp_path / "loss.png")
    assert status == 0
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
    for output in ("loss", "loss.txt"):
        status, _, error = run(SCRIPTS / "plot_metrics.py", tmp_path, "--output", tmp_path / output)
        assert status == 2 and "ending of a picture" in error
    status, _, error = run(SCRIPTS / "plot_metrics.py", tmp_path / "loss.png")
    assert status == 2 and "it is no text" in error
    for damaged in ("epoch,step\n", "step,train/loss\n1,3,4\n,2\n", "epoch,train/loss\n1,2\n"):
        (tmp_path / "metrics.csv").write_text(damaged)
        status, _, error = run(SCRIPTS / "plot_metrics.py", tmp_path)
        assert (status, error.count("\n")) == (2, 1)
