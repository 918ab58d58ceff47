"""Whose folder a run writes to: a new one, or its own where it continues; never that of another run."""

import hashlib

import pytest
import yaml
from filelock import FileLock
from omegaconf import OmegaConf
from processes import lai_train
from runs import TINY, example_lines, rows_of

from lai.config.load import CONF_DIR
from lai.run.folders import NewFolder
from lai.sweep.ledger import NAME as LEDGER


def hashes(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of two steps in the folder `old`; the folder to start others in."""

    here = tmp_path_factory.mktemp("folders")
    (here / "text.txt").write_text("\n".join(example_lines(300)) + "\n", encoding="utf-8")
    done = lai_train(*TINY, "data.path=text.txt", "trainer.max_steps=2", "hydra.run.dir=old", cwd=here)
    assert done.returncode == 0, done.stderr
    return here


def of(folder):
    """The arguments that take a run's own config.yaml, as of `python -m lai.train`."""
    return ("--config-path", str(folder), "--config-name", "config")


def absolute(config, folder):
    """What was saved before output_dir stayed an interpolation: every path spelt out."""
    saved = config.read_text().replace("${hydra:runtime.output_dir}", str(folder))
    config.write_text(saved.replace("${output_dir}", str(folder)))


@pytest.mark.parametrize("kind", ["as saved", "of an earlier version", "with an override"])
def test_a_finished_runs_config_runs_again_in_a_new_folder(finished, tmp_path, kind):
    arguments = list(of(finished / "old"))
    if kind != "as saved":
        config = tmp_path / "config.yaml"
        config.write_bytes((finished / "old" / "config.yaml").read_bytes())
        absolute(config, finished / "old")
        arguments = list(of(tmp_path))
    if kind == "with an override":
        arguments.append("output_dir=${hydra:runtime.output_dir}")
    new = tmp_path / "new"
    before = hashes(finished / "old")
    done = lai_train(*arguments, f"hydra.run.dir={new}", cwd=finished)
    assert done.returncode == 0, done.stderr
    assert hashes(finished / "old") == before
    assert rows_of(new, "val/loss") == rows_of(finished / "old", "val/loss")
    for name in ("checkpoints/last.ckpt", "train.log", ".hydra/overrides.yaml"):
        assert (new / name).is_file(), name
    assert list(new.glob("events.out.tfevents.*"))
    saved = yaml.safe_load((new / "config.yaml").read_text())
    if kind == "as saved":
        assert saved == yaml.safe_load((finished / "old" / "config.yaml").read_text())
    assert saved["callbacks"]["last"]["dirpath"] == "${output_dir}/checkpoints"
    assert "[INFO]" not in (new / "train.log").read_text()  # as the log of any other run looks


@pytest.mark.parametrize("source", ["its config", "another run"])
def test_a_folder_with_another_runs_files_is_refused_and_left_alone(finished, source):
    arguments = of(finished / "old") if source == "its config" else (*TINY, "data.path=text.txt")
    before = hashes(finished / "old")
    done = lai_train(*arguments, "hydra.run.dir=old", cwd=finished)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "holds another run's checkpoints; give this one a new folder: hydra.run.dir=FOLDER" in done.stderr
    assert hashes(finished / "old") == before


def test_a_folder_of_a_callback_or_logger_that_is_another_runs_is_refused(finished):
    before = hashes(finished / "old")
    old = finished / "old" / "checkpoints"
    run = (*TINY, "data.path=text.txt", "trainer.max_steps=1", f"callbacks.last.dirpath={old}", "hydra.run.dir=third")
    done = lai_train(*run, cwd=finished)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"callbacks.last.dirpath is {old}, which another run has written to" in done.stderr
    assert hashes(finished / "old") == before


def test_failed_start_leaves_its_folder_free(tmp_path, text_file):
    run = (*TINY, "trainer.max_steps=1", "hydra.run.dir=run")
    assert lai_train(*run, "data.path=nowhere.txt", cwd=tmp_path).returncode == 2
    assert not (tmp_path / "run" / "config.yaml").exists()
    done = lai_train(*run, f"data.path={text_file}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.heavy
def test_a_run_that_continues_in_its_folder_keeps_what_it_wrote_before(tmp_path, text_file):
    run = (*TINY, f"data.path={text_file}", "hydra.run.dir=run", "checkpoint.keep=all")
    assert lai_train(*run, "trainer.max_steps=2", cwd=tmp_path).returncode == 0
    before = hashes(tmp_path / "run")
    run = (*run, "trainer.max_steps=3", "ckpt_path=run/checkpoints/last.ckpt")
    done = lai_train(*run, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    after = hashes(tmp_path / "run")
    for old, new in (
        ("config.yaml", "config-1.yaml"),
        ("metrics.csv", "metrics-1.csv"),
        (".hydra/overrides.yaml", ".hydra/overrides-1.yaml"),
    ):
        assert after[new] == before[old]
    assert rows_of(tmp_path / "run", "val/loss")[-1][0] == 3
    assert lai_train(*run, cwd=tmp_path).returncode == 0
    configs = {name for name in hashes(tmp_path / "run") if name.endswith(".yaml")}
    assert configs == {name for name in after if name.endswith(".yaml")}, "an equal config is not kept twice"


def test_runs_that_begin_in_one_second_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    OmegaConf.register_new_resolver("now", lambda pattern: pattern.strip("%"), replace=True)  # until Hydra's next start
    section = OmegaConf.load(CONF_DIR / "train.yaml").hydra
    found = []
    for _ in range(3):
        config = OmegaConf.create({"hydra": {**section, "overrides": {"hydra": []}}})
        NewFolder().on_run_start(config)
        found.append(config.hydra.run.dir)
    config = OmegaConf.create({"hydra": {**section, "overrides": {"hydra": []}}})
    NewFolder().on_multirun_start(config)
    found.append(config.hydra.sweep.dir)
    assert len(set(found)) == 4
    assert found[1:] == [f"{found[0]}-{number}" for number in (1, 2, 3)]
    assert config.hydra.overrides.hydra == [f"hydra.sweep.dir='{found[3]}'"]
    config.hydra.run.dir = "given"
    NewFolder().on_run_start(config)
    assert config.hydra.run.dir == "given"


def test_a_sweeps_job_does_not_write_into_another_runs_folder(finished):
    before = hashes(finished / "old")
    run = ("-m", *TINY, "data.path=text.txt", "seed=1", "hydra.sweep.dir=.", "hydra.sweep.subdir=old")
    done = lai_train(*run, cwd=finished)
    assert done.returncode == 2
    assert f"error: job 0: {finished / 'old'} holds another run's checkpoints" in done.stderr
    assert hashes(finished / "old") == before


def test_the_multirun_file_of_an_earlier_sweep_is_kept_but_not_that_of_the_same_one(tmp_path):
    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}})
    (tmp_path / "multirun.yaml").touch()
    (tmp_path / LEDGER).touch()
    NewFolder().on_multirun_start(config)
    assert not (tmp_path / "multirun-1.yaml").exists()
    (tmp_path / LEDGER).unlink()
    NewFolder().on_multirun_start(config)
    assert (tmp_path / "multirun-1.yaml").exists()


def test_output_dir_on_the_command_line_is_answered_with_hydra_run_dir(tmp_path):
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
