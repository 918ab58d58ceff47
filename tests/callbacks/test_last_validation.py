"""The last weights are validated, wherever a run ends and whatever a callback puts in place."""

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from runs import rows_of
from toy_callbacks import exported, measured, with_callback

from lai.export.checkpoint import read_checkpoint
from lai.train import train


@pytest.mark.parametrize(
    "settings",
    [
        ("trainer.max_epochs=2", "trainer.val_check_interval=0.6"),
        ("trainer.max_epochs=3", "trainer.check_val_every_n_epoch=2"),
        ("trainer.max_epochs=1", "trainer.check_val_every_n_epoch=5", "+trainer.min_epochs=1"),
        ("trainer.max_epochs=2", "trainer.check_val_every_n_epoch=null", "trainer.val_check_interval=5"),
        ("trainer.max_steps=7", "trainer.check_val_every_n_epoch=5", "+trainer.min_epochs=2"),
        ("trainer.max_epochs=-1", "trainer.check_val_every_n_epoch=1000", "+trainer.max_time={seconds: 2}"),
    ],
)
def test_the_last_step_is_validated_and_kept_wherever_a_run_ends(tmp_path, compose_run, text_file, settings):
    train(compose_run(f"data.path={text_file}", "trainer.log_every_n_steps=1", *settings))
    steps = [step for step, _ in rows_of(tmp_path / "run", "train/loss")]
    assert rows_of(tmp_path / "run", "val/loss")[-1][0] == steps[-1]
    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=False)
    assert checkpoint["global_step"] == len(steps) == steps[-1]


class ScaleAtTheEnd(Callback):
    """Puts other weights in place when training ends."""

    def on_train_end(self, trainer, pl_module):
        with torch.no_grad():
            pl_module.model.final_norm.weight.mul_(0.5)


def test_what_a_callback_puts_in_place_at_the_end_is_validated_and_exported(tmp_path, compose_run, text_file):
    run = with_callback(compose_run(f"data.path={text_file}", "trainer.max_epochs=1"), f"{__name__}.ScaleAtTheEnd")
    loss = train(run)
    last = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt").weights
    weights = exported(tmp_path)
    name = "final_norm.weight"
    assert torch.equal(torch.as_tensor(weights[name]), 0.5 * last[name])
    assert loss == pytest.approx(measured(run, weights), rel=1e-4)
    assert loss != pytest.approx(measured(run, last), rel=1e-3)
