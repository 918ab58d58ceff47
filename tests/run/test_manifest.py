"""run.json: what a run records of itself, in its folder, its checkpoints and its export."""

import hashlib
import json
import shlex
import subprocess

import pytest
from omegaconf import OmegaConf
from processes import lai_train
from runs import TINY

from lai.export.checkpoint import read_checkpoint
from lai.export.lai_file import read_model
from lai.host.errors import UserError
from lai.run.manifest import commit
from lai.train import train


@pytest.fixture
def recorded(tmp_path, compose_run, text_file):
    """Trains with overrides, and gives what run.json then holds."""

    def start(*overrides):
        train(compose_run(f"data.path={text_file}", "trainer.max_steps=3", *overrides))
        return json.loads((tmp_path / "run" / "run.json").read_bytes())

    return start


def test_run_checkpoint_and_export_tell_the_same_data_vocabulary_and_weights(tmp_path, recorded, text_file):
    found = recorded("data.licence=CC0")
    exported = read_model(tmp_path / "model.bin")
    saved = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt").manifest
    digest = hashlib.sha256(text_file.read_bytes()).hexdigest()
    for content in (found, exported.manifest, saved):
        (entry,) = content["data"]
        assert entry == {
            "name": text_file.name, "bytes": text_file.stat().st_size, "sha256": digest, "licence": "CC0"
        }  # fmt: skip
        assert content["vocabulary"]["sha256"] == exported.vocab.fingerprint
        assert content["steps"] == 3
        assert content["tokens_seen"] == exported.training.tokens > 0
        assert content["metrics"]["val/loss"] == pytest.approx(exported.training.val_loss, rel=1e-6)
    assert found["state"] == "finished"
    assert found["run"] == read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt").run


def test_digests_of_token_files_are_those_of_the_bytes_that_are_read(tmp_path, recorded):
    found = recorded()
    (folder,) = (tmp_path / "cache").glob("shards-*[0-9a-f]")
    for split in ("train", "val"):
        expected = hashlib.sha256((folder / f"{split}.bin").read_bytes()).hexdigest()
        assert found["token_files"][split]["sha256"] == expected


def test_two_runs_around_a_changed_text_differ_in_what_depends_on_it(recorded, text_file):
    before = recorded()
    text_file.write_text(text_file.read_text().replace("apples", "pears"), encoding="utf-8")
    after = recorded()
    for content in (before, after):
        for name in ("starts", "duration_s", "run", "export", "overrides"):
            content.pop(name)
    assert {name for name in before if before[name] != after[name]} == {
        "data", "vocabulary", "token_files", "metrics", "tokens_seen"
    }  # fmt: skip


def test_a_run_that_fails_says_so_with_its_line(tmp_path, recorded):
    with pytest.raises(UserError, match="changed no weight"):
        recorded("optimizer.lr=1e-30", "optimizer.embedding_lr=1e-30")
    found = json.loads((tmp_path / "run" / "run.json").read_bytes())
    assert found["state"] == "failed"
    assert "training has changed no weight" in found["error"]


def test_command_line_is_recorded_as_typed(tmp_path, text_file):
    typed = [*TINY, f"data.path={text_file}", "trainer.max_steps=2", "--config-name=train", "hydra.run.dir=a run"]
    typed += ["resume=auto", "export.path=m.bin"]
    done = lai_train(*typed, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "a run" / "run.json").read_bytes())
    assert shlex.split(found["command"]) == ["python", "-m", "lai.train", *typed]
    settings = {override.lstrip("+") for override in found["overrides"]}
    assert settings == {argument for argument in typed if not argument.startswith(("hydra.", "--"))}


@pytest.mark.heavy
def test_a_config_of_an_earlier_version_takes_the_settings_that_are_new(tmp_path, text_file):
    first = lai_train(*TINY, f"data.path={text_file}", "trainer.max_steps=1", "hydra.run.dir=old", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    config = OmegaConf.load(tmp_path / "old" / "config.yaml")
    for key in ("resume", "max_bad_steps", "skip_spikes", "checkpoint", "allow_targets"):
        config.pop(key)
    for key in ("licence", "max_unpacked"):
        config.data.pop(key)
    OmegaConf.save(config, tmp_path / "old" / "config.yaml")
    again = ("--config-path", str(tmp_path / "old"), "--config-name", "config", "hydra.run.dir=new")
    done = lai_train(*again, "data.licence=CC0", "max_bad_steps=5", "checkpoint.keep=all", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "new" / "run.json").read_bytes())
    assert found["data"][0]["licence"] == "CC0"
    assert OmegaConf.load(tmp_path / "new" / "config.yaml").checkpoint.keep == "all"


def test_a_download_s_own_record_gives_the_licences(tmp_path, recorded, text_file):
    sets = [{"data set": "hu_wiki", "url": "https://example.org", "revision": "1", "licence": "CC BY-SA 3.0"}]
    digest = hashlib.sha256(text_file.read_bytes()).hexdigest()
    record = text_file.with_name("text.txt.sources.json")
    record.write_text(json.dumps({"sha256": digest, "sources": sets}))
    assert recorded()["data"][0]["licence"] == "CC BY-SA 3.0"
    record.write_text(json.dumps({"sha256": "0" * 64, "sources": sets}))
    assert recorded()["data"][0]["licence"] is None, "the record is of another text"


def test_the_commit_is_that_of_the_code_s_own_files(tmp_path):
    def git(*arguments):
        names = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *names, *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "train.py").write_text("1\n")
    assert commit(tmp_path) is None, "the file is in no commit"
    git("add", "train.py")
    git("commit", "-m", "one")
    head = subprocess.run(["git", "-C", str(tmp_path), "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    assert commit(tmp_path) == {"hash": head.strip(), "dirty": False}
    (tmp_path / "train.py").write_text("2\n")
    assert commit(tmp_path) == {"hash": head.strip(), "dirty": True}
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "train.py").write_text("1\n")
    assert commit(tmp_path / "package") is None, "an installed package in a project's folder"
