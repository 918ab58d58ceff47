"""`resume=auto`: one command starts a run, resumes it after a kill, and exports a finished one again."""

import pytest
import torch
from processes import lai_train
from runs import TINY, content_of

from lai.export.lai_file import read_model

# The class is the user's own module, in the folder of the run.
KILL_AT = """
import os
from pathlib import Path
from lightning.pytorch.callbacks import Callback

class KillAt(Callback):
    def __init__(self, batch, phase="train"):
        self.left, self.phase = batch, phase
    def on_train_batch_start(self, *_):
        self.left -= 1
        if self.left == 0 and self.phase == "train":
            os.kill(os.getpid(), 9)
    def on_train_end(self, *_):
        if self.phase == "export":
            os.kill(os.getpid(), 9)
"""


@pytest.fixture
def start(tmp_path, text_file):
    """Start the same run again and again, with more overrides; gives its status and its screen."""
    (tmp_path / "kill_at.py").write_text(KILL_AT)

    def run(*more, folder="run"):
        arguments = [*TINY, f"data.path={text_file}", "data.cache_dir=cache", f"export.path={folder}.bin"]
        limits = ["trainer.max_epochs=2", "trainer.val_check_interval=11", f"hydra.run.dir={folder}", "resume=auto"]
        done = lai_train(*arguments, *limits, *more, cwd=tmp_path, OMP_NUM_THREADS="1")
        return done.returncode, done.stdout + done.stderr

    return run


def killing(batch, phase="train"):
    return f"+callbacks.kill={{_target_:kill_at.KillAt,batch:{batch},phase:{phase}}}"


@pytest.mark.heavy
def test_one_command_starts_resumes_and_exports_a_run(tmp_path, start):
    assert start(folder="whole")[0] == 0
    assert start(killing(5))[0] == -9  # before there is a checkpoint
    status, screen = start(killing(30))
    assert status == -9 and "has no checkpoint yet: the run starts" in screen
    status, screen = start(killing(0, "export"))
    assert status == -9 and "resuming at step 22" in screen
    assert not (tmp_path / "run.bin").exists()
    status, screen = start()
    assert status == 0 and "nothing is left to train up to trainer.max_epochs 2" in screen
    expected, found = (read_model(tmp_path / f"{name}.bin").weights for name in ("whole", "run"))
    assert all(torch.equal(torch.as_tensor(found[name]), torch.as_tensor(expected[name])) for name in expected)
    assert content_of(tmp_path / "run.bin") == content_of(tmp_path / "whole.bin")
    assert start()[0] == 0  # once more: nothing changes
    assert not (tmp_path / "run.1.bin").exists()


def test_resume_auto_needs_a_folder_and_no_checkpoint(tmp_path, text_file):
    run = [*TINY, f"data.path={text_file}", "resume=auto"]
    done = lai_train(*run, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: resume=auto needs the run's folder, the same in each start: hydra.run.dir=FOLDER\n"
    done = lai_train(*run, "hydra.run.dir=run", "ckpt_path=x.ckpt", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: resume=auto chooses the checkpoint itself")
