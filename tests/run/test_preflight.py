"""A run's files are checked before anything is made."""

import os

import pytest
from mistakes import OUTPUT
from runs import composed

from lai.config.load import load_run_config
from lai.host.errors import UserError
from lai.run.preflight import check_files, export_path


def test_a_path_below_a_file_cannot_be_written(tmp_path, compose_run):
    (tmp_path / "file").write_text("text")
    with pytest.raises(UserError, match=r"export\.path=.*cannot be written: Not a directory"):
        check_files(compose_run(), tmp_path / "file" / "m.bin")


def test_nothing_is_made_by_the_check(tmp_path, compose_run):
    check_files(compose_run(), tmp_path / "new" / "deep" / "m.bin")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["data.vocab_path", "ckpt_path"])
def test_a_missing_input_is_named_by_its_key(tmp_path, compose_run, key):
    with pytest.raises(UserError, match=rf"{key}={tmp_path}/none: there is no such file"):
        check_files(compose_run(f"{key}={tmp_path / 'none'}"), tmp_path / "m.bin")


@pytest.mark.parametrize("key", ["data.vocab_path", "ckpt_path"])
def test_an_input_that_is_a_pipe_is_refused_and_not_waited_for(tmp_path, compose_run, key):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match=rf"cannot read {key} {tmp_path}/pipe: it is a named pipe; expected a regular"):
        check_files(compose_run(f"{key}={tmp_path / 'pipe'}"), tmp_path / "m.bin")


def test_a_folder_with_checkpoints_names_the_newest(tmp_path, compose_run):
    (tmp_path / "step3.ckpt").touch()
    with pytest.raises(UserError, match=rf"give a checkpoint in it: ckpt_path={tmp_path}/step3\.ckpt"):
        check_files(compose_run(f"ckpt_path={tmp_path}"), tmp_path / "m.bin")


def test_without_export_path_the_model_goes_into_the_runs_folder(tmp_path, compose_run):
    run = compose_run("export.path=null", "model=nano")
    assert export_path(run) == tmp_path / "run" / "lai-nano.bin"


def test_a_home_folder_in_export_path_is_replaced(tmp_path, compose_run, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert export_path(compose_run("export.path='~/m.bin'")) == tmp_path / "m.bin"


def test_a_folder_given_as_checkpoint_is_refused_with_the_checkpoint_in_it(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    run = load_run_config(composed(OUTPUT, f"ckpt_path={tmp_path}"))
    with pytest.raises(UserError, match=r"is a folder; give it a checkpoint, such as checkpoints/last\.ckpt"):
        check_files(run, tmp_path / "model.bin")
    for name in ("checkpoints/step3.ckpt", "checkpoints/last.ckpt"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=rf"is a folder; .*: ckpt_path={tmp_path}/checkpoints/last\.ckpt$"):
        check_files(run, tmp_path / "model.bin")
