"""lai.programs.clean as a user runs it: it shows what runs have left, and removes what nothing needs."""

import os
import shutil
import time

import pytest
import torch
from filelock import FileLock
from omegaconf import OmegaConf
from runs import TINY, composed, content_of, example_lines

from lai.config.load import load_run_config
from lai.run.folders import save_config
from lai.train import train

PROGRAM = "lai.programs.clean"


def settings(folder, *overrides):
    common = (f"output_dir={folder / 'outputs' / 'run'}", f"data.cache_dir={folder / 'outputs' / 'cache'}")
    text = (f"data.path={folder / 'text.txt'}", f"export.path={folder / 'model.bin'}", "checkpoint.keep=all")
    return load_run_config(composed(*common, *text, *TINY, "trainer.max_epochs=1", *overrides), ())


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A folder with a finished run whose config.yaml is of an earlier version, and its cache, two hours old."""
    folder = tmp_path_factory.mktemp("original")
    (folder / "text.txt").write_text("\n".join(example_lines(290)) + "\n", encoding="utf-8")
    run = settings(folder)
    train(run)
    save_config(run, folder / "outputs" / "run")
    change(folder / "outputs" / "run", lambda config: config.pop("checkpoint"))
    for path in (folder / "outputs" / "cache").iterdir():
        os.utime(path, (time.time() - 7200,) * 2)
    (folder / "outputs" / "run" / ".lock").touch()
    return folder


@pytest.fixture
def folder(original, tmp_path, monkeypatch):
    shutil.copytree(original, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def change(run, edit):
    config = OmegaConf.load(run / "config.yaml")
    edit(config)
    OmegaConf.save(config, run / "config.yaml")


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def moments(run):
    return {
        path.name: len(torch.load(path, weights_only=True)["optimizer_states"][0]["state"])
        for path in (run / "checkpoints").glob("*.ckpt")
    }


def other_token_files(cache):
    """A copy of the token files whose documents are others."""
    (own,) = cache.glob("shards-" + "?" * 16)
    other = own.with_name("shards-0123456789abcdef")
    shutil.copytree(own, other)
    text = (other / "meta.json").read_text()
    (other / "meta.json").write_text(text.replace('"sha256": "', '"sha256": "0'))
    os.utime(other, (time.time() - 7200,) * 2)
    return own, other


def test_without_remove_nothing_is_changed(run, folder):
    own, other = other_token_files(folder / "outputs" / "cache")
    before = contents(folder)
    status, output, _ = run(PROGRAM)
    assert status == 0 and contents(folder) == before
    assert "1 runs" in output and "the optimizer's state in outputs/run/checkpoints/last.ckpt" in output
    assert f"token files outputs/cache/{other.name}" in output and own.name not in output


def test_a_finished_run_without_its_optimizer_state_exports_the_same_model(run, folder):
    expected = content_of(folder / "model.bin")
    (folder / "model.bin").unlink()
    assert set(moments(folder / "outputs" / "run").values()) != {0}
    before = sum(map(len, contents(folder).values()))
    status, output, _ = run(PROGRAM, "--remove")
    assert status == 0 and moments(folder / "outputs" / "run") == {"last.ckpt": 0, "step22.ckpt": 0}
    freed = before - sum(map(len, contents(folder).values()))
    assert f"{freed / 1e6:,.1f} MB  removed in all" in output
    train(settings(folder, f"ckpt_path={folder / 'outputs' / 'run' / 'checkpoints' / 'last.ckpt'}"))
    assert content_of(folder / "model.bin") == expected


@pytest.mark.parametrize(
    "edit",
    [
        lambda config: config.trainer.update(max_epochs=2),
        lambda config: config.update(checkpoint={"keep": "all"}),
        lambda config: config.pop("trainer"),
    ],
    ids=["unfinished", "keeps all", "no limits"],
)
def test_the_optimizer_state_that_may_be_needed_stays(run, folder, edit):
    change(folder / "outputs" / "run", edit)
    before = contents(folder)
    assert run(PROGRAM, "--remove")[0] == 0
    assert contents(folder) == before


def test_a_running_run_and_the_caches_beside_it_stay(run, folder):
    other_token_files(folder / "outputs" / "cache")
    before = contents(folder)
    with FileLock(folder / "outputs" / "run" / ".lock"):
        status, output, _ = run(PROGRAM, "--remove")
        assert status == 0 and "  0.0 MB  removed in all" in output
        assert "outputs/run (running)" in run(PROGRAM)[1]
    assert contents(folder) == before


def test_links_are_not_followed(run, folder, tmp_path):
    outside = tmp_path / "outside"
    (folder / "outputs").rename(outside)
    (outside / ".left.abcd1234.tmp").touch()
    os.utime(outside / ".left.abcd1234.tmp", (time.time() - 7200,) * 2)
    before = contents(outside)
    runs = folder / "outputs" / "linked"
    (runs / "checkpoints").mkdir(parents=True)
    shutil.copy(outside / "run" / "config.yaml", runs)
    (runs / "checkpoints" / "last.ckpt").symlink_to(outside / "run" / "checkpoints" / "last.ckpt")
    for name in ("whole", "cache/shards-0123456789abcdef"):
        (folder / "outputs" / name).parent.mkdir(exist_ok=True)
        (folder / "outputs" / name).symlink_to(outside, target_is_directory=True)
    assert run(PROGRAM, "--remove")[0] == 0
    assert contents(outside) == before
    assert (runs / "checkpoints" / "last.ckpt").is_symlink() and (folder / "outputs" / "whole").is_symlink()


def test_token_files_that_no_checkpoint_names_are_removed_after_an_hour(run, folder):
    own, other = other_token_files(folder / "outputs" / "cache")
    os.utime(other)
    run(PROGRAM, "--remove")
    assert other.exists()
    os.utime(other, (time.time() - 7200,) * 2)
    run(PROGRAM, "--remove")
    assert own.exists() and not other.exists()


def test_token_files_stay_where_a_checkpoint_cannot_be_read(run, folder):
    _, other = other_token_files(folder / "outputs" / "cache")
    (folder / "outputs" / "run" / "checkpoints" / "mine.ckpt").write_bytes(b"no checkpoint")
    run(PROGRAM, "--remove")
    assert other.exists()


def test_temporary_files_of_killed_programs_are_removed(run, folder):
    old, new = (folder / "outputs" / "run" / f".last.ckpt.abcd123{number}.tmp" for number in range(2))
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    assert run(PROGRAM, "--remove")[0] == 0
    assert not old.exists() and new.exists()


def test_a_folder_that_is_not_there_is_one_line(run, tmp_path):
    status, _, error = run(PROGRAM, tmp_path / "none")
    assert (status, error.count("\n")) == (2, 1)
    assert "none is no folder; expected that of runs" in error
