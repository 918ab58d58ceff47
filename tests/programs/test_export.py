"""lai.programs.export as a user runs it."""

import pytest
import torch
from toy_checkpoints import make_unversioned

from lai import info
from lai.export import formats
from lai.export.checkpoint import read_checkpoint
from lai.export.lai_file import read_model
from lai.export.packages import installed
from lai.host.errors import UserError
from lai.model.record import TrainingRecord

PROGRAM = "lai.programs.export"


def test_a_checkpoint_alone_is_exported(run, tmp_path, checkpoint):
    path, module = checkpoint
    status, output, _ = run(PROGRAM, path, "--output", tmp_path / "e.bin")
    assert status == 0
    assert "parameters" in output
    read = read_model(tmp_path / "e.bin")
    for name, value in module.model.state_dict().items():
        assert torch.equal(read.weights[name], value)
    (tmp_path / "link.bin").symlink_to(tmp_path / "h.bin")
    status, _, _ = run(PROGRAM, path, "--output", tmp_path / "link.bin", "--dtype", "f16")
    assert (tmp_path / "link.bin").is_symlink()
    assert status == 0
    assert read_model(tmp_path / "h.bin").dtype == "f16"
    status, _, error = run(PROGRAM, path, "--output", tmp_path)
    assert status == 2 and "is a folder" in error
    before = path.read_bytes()
    status, _, error = run(PROGRAM, path, "--output", path)
    assert status == 2 and "another kind of file" in error
    assert path.read_bytes() == before
    status, _, error = run(PROGRAM, tmp_path / "none.ckpt", "--output", tmp_path / "n.bin")
    assert (status, error.count("\n")) == (2, 1)
    (tmp_path / "cut.ckpt").write_bytes(checkpoint[0].read_bytes()[:20000])
    status, _, error = run(PROGRAM, tmp_path / "cut.ckpt", "--output", tmp_path / "n.bin")
    assert (status, error.count("\n")) == (2, 1) and "is not a whole checkpoint" in error
    assert "Error)" not in error  # The name of a Python class tells a user nothing.


TRAINING = TrainingRecord(steps=10, tokens=4096, val_loss=5.5, val_loss_floor=1.0)


def with_training(checkpoint, path, training):
    """The checkpoint with this record of its training; None is a checkpoint of an older version, without a record."""
    content = torch.load(checkpoint, weights_only=True)
    make_unversioned(content)
    if training is None:
        del content["lai"]["training"]
    else:
        content["lai"]["training"] = training
    content["global_step"] = 10
    torch.save(content, path)
    return path


def test_a_model_file_is_exported_in_another_dtype(run, tmp_path, checkpoint):
    """The file has the same bytes as one from the checkpoint, its record of training included."""
    path = with_training(checkpoint[0], tmp_path / "trained.ckpt", TRAINING.to_dict())
    for dtype in ("f32", "f16", "q4_0"):
        assert run(PROGRAM, path, "--output", tmp_path / f"{dtype}.bin", "--dtype", dtype)[0] == 0
        status, output, _ = run(PROGRAM, tmp_path / "f32.bin", "--output", tmp_path / "r.bin", "--dtype", dtype)
        assert status == 0 and "note" not in output
        assert (tmp_path / "r.bin").read_bytes() == (tmp_path / f"{dtype}.bin").read_bytes()
        assert read_model(tmp_path / "r.bin").training == TRAINING
    for dtype, noted in (("f16", True), ("q4_0", False)):
        status, output, _ = run(PROGRAM, tmp_path / "q4_0.bin", "--output", tmp_path / "r.bin", "--dtype", dtype)
        assert status == 0 and ("are rounded to q4_0 already" in output) is noted
    assert f"the earlier r.bin is kept as {tmp_path / 'r.4.bin'}" in output


def test_another_ending_than_bin_is_refused(run, tmp_path, checkpoint):
    status, output, error = run(PROGRAM, checkpoint[0], "--output", tmp_path / "x.safetensors")
    assert (status, output, error.count("\n")) == (2, "", 1)
    assert "ends in .safetensors, and a model file ends in .bin" in error
    assert not (tmp_path / "x.safetensors").exists()


@pytest.fixture
def without_peers(monkeypatch):
    monkeypatch.setattr(formats, "ask", lambda *_: None)


def test_a_folder_for_transformers_is_written_from_a_checkpoint_and_a_model_file(
    run, checkpoint, model_file, without_peers
):
    for source in (checkpoint[0], model_file):
        status, output, _ = run(PROGRAM, source, "--format", "hf", "--dtype", "bf16")
        assert status == 0 and "read back by LAi's own reader: the same ids" in output
        assert (source.with_suffix(".hf") / "model.safetensors").is_file()


def test_the_ending_of_the_output_chooses_the_format(run, tmp_path, model_file, without_peers):
    assert run(PROGRAM, model_file, "--output", tmp_path / "o.hf")[0] == 0
    assert (tmp_path / "o.hf" / "README.md").is_file()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "hf", "--dtype", "q4_0"], "a Hugging Face folder holds no q4_0"),
        (["--dtype", "bf16"], "a model file holds no bf16"),
        ([], "would be written over itself; give the new model file's name as --output"),
        (["--format", "gguf", "--output", "m.bin"], "m.bin does not end in .gguf; give m.gguf"),
    ],
)
def test_what_cannot_be_written_is_one_line(run, model_file, options, words):
    if "gguf" in options:
        pytest.importorskip("gguf", reason="it writes GGUF files, and is not installed")
    status, output, error = run(PROGRAM, model_file, *options)
    assert (status, output, error.count("\n")) == (2, "", 1) and words in error


def test_a_model_file_is_not_read_as_a_checkpoint(model_file):
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
def test_steps_tokens_and_losses_of_training_reach_the_model_file(run, tmp_path, checkpoint, training, expected):
    path = with_training(checkpoint[0], tmp_path / "trained.ckpt", training)
    assert read_checkpoint(path).training == expected
    assert run(PROGRAM, path, "--output", tmp_path / "m.bin")[0] == 0
    assert read_model(tmp_path / "m.bin").training == expected
    for file in (path, tmp_path / "m.bin"):
        rows = dict(info.describe(file))
        assert rows["steps"] == (str(expected.steps) if expected.steps else "unknown")
        assert rows["val/loss"] == ("5.5000, floor 1.0000" if expected.val_loss else "unknown")


def test_exports_for_other_programs_become_model_files_again(run, tmp_path, checkpoint, monkeypatch):
    """With the weights and the vocabulary that the model file of the checkpoint has."""
    monkeypatch.setattr(formats, "ask", lambda *_: None)
    assert run(PROGRAM, checkpoint[0], "--output", tmp_path / "expected.bin")[0] == 0
    expected = read_model(tmp_path / "expected.bin")
    names = ["m.hf"]
    if installed("gguf"):
        names.append("m.gguf")
    for name in names:
        assert run(PROGRAM, checkpoint[0], "--output", tmp_path / name)[0] == 0
        status, output, _ = run(PROGRAM, tmp_path / name, "--output", tmp_path / f"{name}.bin")
        assert status == 0 and "note" not in output
        found = read_model(tmp_path / f"{name}.bin")
        assert found.vocab.fingerprint == expected.vocab.fingerprint and found.config == expected.config
        assert all(torch.equal(found.weights[name], weight) for name, weight in expected.weights.items())
        assert found.training == expected.training


def test_a_model_without_our_vocabulary_is_not_exported(run, tmp_path, checkpoint, monkeypatch):
    monkeypatch.setattr(formats, "ask", lambda *_: None)
    assert run(PROGRAM, checkpoint[0], "--output", tmp_path / "m.hf")[0] == 0
    (tmp_path / "m.hf" / "vocab.bin").unlink()
    status, _, error = run(PROGRAM, tmp_path / "m.hf", "--output", tmp_path / "x.bin")
    assert (status, error.count("\n")) == (2, 1) and "has a tokenizer of its own, LAi reads ids only" in error
    assert not (tmp_path / "x.bin").exists()
    status, output, _ = run("lai.info", tmp_path / "m.hf")
    assert status == 0 and "Hugging Face folder" in output and "none: it has a tokenizer of its own" in output
    status, _, error = run("lai.generate", "-m", tmp_path / "m.hf", "-p", "dog")
    assert (status, error.count("\n")) == (2, 1) and "has a tokenizer of its own" in error


def test_every_kind_of_file_answers_alike(run, tmp_path, checkpoint, monkeypatch):
    monkeypatch.setattr(formats, "ask", lambda *_: None)
    for name in ("m.bin", "m.hf"):
        assert run(PROGRAM, checkpoint[0], "--output", tmp_path / name)[0] == 0
    sources = (checkpoint[0], tmp_path / "m.bin", tmp_path / "m.hf")
    answers = {run("lai.generate", "-m", source, "-p", "dog", "--temp", 0, "--tokens", 8)[1] for source in sources}
    assert len(answers) == 1
