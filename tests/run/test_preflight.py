"""Inputs and outputs are checked before anything is made."""

import pytest
from mistakes import OUTPUT
from runs import composed

from lai.config.load import load_run_config
from lai.host.errors import UserError
from lai.run.preflight import check_files


def test_a_folder_given_as_checkpoint_is_refused_with_the_checkpoint_in_it(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    run = load_run_config(composed(OUTPUT, f"ckpt_path={tmp_path}"))
    with pytest.raises(UserError, match=r"is a folder; give it a checkpoint, such as checkpoints/last\.ckpt"):
        check_files(run, tmp_path / "model.bin")
    for name in ("checkpoints/step3.ckpt", "checkpoints/last.ckpt"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=rf"is a folder; .*: ckpt_path={tmp_path}/checkpoints/last\.ckpt$"):
        check_files(run, tmp_path / "model.bin")
