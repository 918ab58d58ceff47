"""last.ckpt is the newest state of a run, not the best."""

import torch
from toy_callbacks import THREE_EPOCHS, spoilt

from lai.train import train


def test_last_checkpoint_is_of_the_last_step_when_the_loss_rises(tmp_path, compose_run, text_file):
    train(spoilt(compose_run(f"data.path={text_file}", *THREE_EPOCHS), 2, 1000.0))
    checkpoints = (tmp_path / "run" / "checkpoints").iterdir()
    steps = {path.name: torch.load(path, weights_only=True)["global_step"] for path in checkpoints}
    assert steps == {"step44.ckpt": 44, "last.ckpt": 66}


def test_without_validation_the_last_checkpoint_is_of_the_last_epoch(tmp_path, compose_run, text_file):
    train(compose_run(f"data.path={text_file}", "trainer.max_epochs=2", "trainer.limit_val_batches=0"))
    assert torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["global_step"] == 44
