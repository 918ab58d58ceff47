"""Runs that begin with the weights of a model: new data, new optimizer, the model's shape and vocabulary."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from processes import lai_train
from runs import TINY, content_of, example_lines, rows_of

from lai.callbacks.stop import StopBetweenBatches
from lai.config.load import load_run_config
from lai.export import formats
from lai.export.checkpoint import read_checkpoint
from lai.export.formats import export_other
from lai.export.lai_file import read_model
from lai.export.packages import installed
from lai.export.reading.source import digest_of, read_stored
from lai.host.errors import UserError
from lai.run.follow import follow_initial
from lai.train import train

COMMON = ["trainer.accelerator=cpu", "device.compile=false", "data.batch_size=4", "checkpoint.keep=all"]


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    """The model file of a first stage, its text, and its folder."""
    from runs import composed

    folder = tmp_path_factory.mktemp("first")
    text = folder / "text.txt"
    text.write_text("\n".join(example_lines(300)) + "\n", encoding="utf-8")
    overrides = [f"data.path={text}", "trainer.max_steps=30", "data.licence=CC-A", "model.name=toy"]
    places = [f"output_dir={folder / 'run'}", f"data.cache_dir={folder / 'cache'}", f"export.path={folder / 'toy.bin'}"]
    config = composed(*places, "checkpoint.keep=all", *TINY, *overrides)
    train(load_run_config(config, overrides))
    return folder / "toy.bin"


@pytest.fixture
def second(tmp_path, parent):
    """Composes a second stage on other text, its files under `tmp_path`."""
    from runs import composed

    text = tmp_path / "second.txt"
    text.write_text("\n".join(example_lines(200, seed=5)) + "\n", encoding="utf-8")

    def build(*overrides, source=parent, name="run"):
        places = [f"output_dir={tmp_path / name}", f"data.cache_dir={tmp_path / 'cache'}"]
        given = [f"init_from={source}", f"data.path={text}", f"export.path={tmp_path / f'{name}.bin'}", *overrides]
        if any(override.startswith("data.path=") for override in overrides):
            del given[1]
        return load_run_config(composed(*places, *COMMON, *given), given, follow_initial)

    return build


@pytest.mark.parametrize("kind", ["bin", "ckpt", "run", "hf", "gguf"])
def test_the_first_val_loss_is_that_of_the_parent(tmp_path, parent, second, monkeypatch, caplog, kind):
    monkeypatch.setattr(formats, "ask", lambda *_: None)
    source = {"bin": parent, "ckpt": parent.parent / "run" / "checkpoints" / "last.ckpt", "run": parent.parent / "run"}
    if kind in ("hf", "gguf"):
        if kind == "gguf" and not installed("gguf"):
            pytest.skip("the package gguf writes GGUF files; it is not installed")
        source[kind] = tmp_path / f"toy.{kind}"
        export_other(kind, source[kind], read_stored(parent).with_text())
    run = second(f"data.path={parent.parent / 'text.txt'}", "trainer.max_steps=1", source=source[kind])
    with caplog.at_level("INFO", logger="lai"):
        train(run)
    (first,) = re.findall(r"val/loss (\d+\.\d+) before training", caplog.text)
    trained = read_stored(source[kind])
    assert float(first) == pytest.approx(trained.training.val_loss, abs=1e-4)
    made = read_model(tmp_path / "run.bin")
    assert made.vocab.fingerprint == trained.vocab.fingerprint
    assert made.config.to_dict() == read_model(parent).config.to_dict()


def test_the_manifest_tells_the_parent_and_chains_are_nested(tmp_path, parent, second, run):
    train(second("trainer.max_steps=2", "data.licence=CC-B"))
    middle = tmp_path / "run.bin"
    train(second("trainer.max_steps=2", "data.licence=CC-C", source=middle, name="third"))
    saved = json.loads((tmp_path / "third" / "run.json").read_text(encoding="utf-8"))
    manifest = read_model(tmp_path / "third.bin").manifest
    for content in (saved, manifest):
        told = content["parent"]
        assert (told["name"], told["steps"], told["licences"]) == ("run.bin", 2, ["CC-B"])
        assert told["sha256"] == digest_of(middle) and told["run"] == read_model(middle).manifest["run"]
        first = told["parent"]
        assert (first["name"], first["steps"], first["licences"]) == ("toy.bin", 30, ["CC-A"])
        assert first["metrics"]["val/loss"] == pytest.approx(read_model(parent).training.val_loss)
        assert "parent" not in first
    assert manifest["model"]["name"] == "toy-3"
    assert read_model(tmp_path / "third.bin").training.steps == 2  # of this stage
    status, output, _ = run("lai.info", tmp_path / "third.bin")
    assert status == 0 and "parent.parent.name" in output and "toy.bin" in output


def test_the_start_says_what_it_begins_with(second, parent, caplog):
    with caplog.at_level("INFO", logger="lai"):
        train(second("trainer.max_steps=1", "model.max_seq_len=96"))
    assert f"begins with {parent}, a model file: 30 steps" in caplog.text
    assert "these weights have seen positions up to 64" in caplog.text


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_weights_are_those_of_the_parent_before_the_first_step(tmp_path, second, parent, precision):
    """A learning rate of almost nothing leaves them as they are."""
    train(
        second(
            "trainer.max_steps=1", "optimizer.lr=1e-20", "optimizer.embedding_lr=1e-8", f"trainer.precision={precision}"
        )
    )
    found, expected = (
        read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt").weights,
        read_model(parent).weights,
    )
    assert all(torch.equal(found[name], expected[name]) for name in expected if "attn.w" in name or "ffn.w" in name)


class Stop(StopBetweenBatches):
    """Ends the run as Ctrl-C does, behind a batch."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_index):
        if trainer.global_step == 7:
            raise KeyboardInterrupt


def test_a_resumed_run_needs_no_parent_and_does_what_an_undisturbed_one_does(tmp_path, parent, second):
    source = shutil.copy(parent, tmp_path / "parent.bin")
    length = ("trainer.max_steps=20",)
    train(second(*length, source=source, name="whole"))
    first = second(*length, source=source)
    first.callbacks["stop"] = {"_target_": f"{__name__}.Stop"}
    with pytest.raises(KeyboardInterrupt):
        train(first)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    assert read_checkpoint(last).training.steps == 7
    Path(source).unlink()
    train(second(*length, f"ckpt_path={last}", source=source))
    assert content_of(tmp_path / "run.bin") == content_of(tmp_path / "whole.bin")
    assert rows_of(tmp_path / "run", "train/loss")
    told = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert told["parent"]["name"] == "parent.bin" and told["model"]["name"] == "toy-2"
    with pytest.raises(UserError, match=r"init_from=.*parent\.bin: cannot read"):
        second(*length, source=source, name="again")


def test_a_model_at_the_path_of_its_parent_leaves_the_parent(tmp_path, parent, second):
    source = Path(shutil.copy(parent, tmp_path / "run.bin"))
    before = source.read_bytes()
    train(second("trainer.max_steps=1", source=source))
    assert (tmp_path / "run.1.bin").read_bytes() == before
    assert read_model(tmp_path / "run.bin").manifest["parent"]["sha256"] == digest_of(tmp_path / "run.1.bin")


@pytest.mark.parametrize("dtype", ["q8_0", "f16"])
def test_a_parent_of_blocks_is_noted(run, tmp_path, parent, second, caplog, dtype):
    assert run("lai.programs.export", parent, "--output", tmp_path / "q.bin", "--dtype", dtype)[0] == 0
    with caplog.at_level("INFO", logger="lai"):
        train(second("trainer.max_steps=1", source=tmp_path / "q.bin"))
    assert ("note: its weights are rounded to q8_0" in caplog.text) == (dtype == "q8_0")
    assert read_model(tmp_path / "run.bin").manifest["parent"]["dtype"] == dtype


def test_a_foreign_model_is_refused_by_name(parent, tmp_path, second, monkeypatch):
    monkeypatch.setattr(formats, "ask", lambda *_: None)
    export_other("hf", tmp_path / "toy.hf", read_stored(parent).with_text())
    (tmp_path / "toy.hf" / "vocab.bin").unlink()
    with pytest.raises(UserError, match=r"init_from=.*toy\.hf has a tokenizer of its own, LAi reads ids only"):
        second(source=tmp_path / "toy.hf")


def program(tmp_path, *overrides):
    text = tmp_path / "second.txt"
    text.write_text("\n".join(example_lines(100, seed=5)) + "\n", encoding="utf-8")
    common = (f"data.path={text}", f"data.cache_dir={tmp_path / 'cache'}", "trainer.max_steps=4", *COMMON)
    return lai_train(*common, *overrides, cwd=tmp_path, OMP_NUM_THREADS="1")


@pytest.mark.heavy
def test_one_command_starts_two_processes_and_resumes_them_without_the_parent(tmp_path, parent):
    source = Path(shutil.copy(parent, tmp_path / "parent.bin"))
    two = ("trainer.devices=2", "trainer.strategy=ddp")
    command = (f"init_from={source}", *two, "hydra.run.dir=run", "resume=auto")
    done = program(tmp_path, *command)
    assert done.returncode == 0, done.stderr
    made = tmp_path / "models" / "lai-toy-2.bin"
    ours, theirs = (read_model(path).weights["token_embed.weight"].flatten() for path in (made, source))
    assert torch.nn.functional.cosine_similarity(ours, theirs, dim=0) > 0.9  # four steps away
    before = content_of(made)
    source.unlink()
    done = program(tmp_path, *command)
    assert done.returncode == 0, done.stderr
    assert "nothing is left to train" in done.stdout and content_of(made) == before


@pytest.mark.heavy
def test_a_sweep_begins_with_several_models(tmp_path, parent):
    other = parent.parent / "run" / "checkpoints" / "last.ckpt"
    done = program(tmp_path, "-m", f"init_from={parent},{other}", "hydra.sweep.dir=sweep")
    assert done.returncode == 0, done.stderr
    names = [next((tmp_path / "sweep" / job).glob("*.bin")) for job in ("0", "1")]
    assert [read_model(name).manifest["parent"]["name"] for name in names] == ["toy.bin", "last.ckpt"]
    assert [name.name for name in names] == ["lai-toy-2.bin", "lai-toy-2.bin"]
