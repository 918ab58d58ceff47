"""Which weights count as the best: of this run, of the run that it resumes, or none."""

import re
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from runs import rows_of
from toy_callbacks import THREE_EPOCHS, spoilt

from lai.export.checkpoint import read_checkpoint
from lai.export.lai_file import read_model
from lai.train import train


def test_resumed_run_exports_the_best_weights_from_before(tmp_path, compose_run, text_file, caplog):
    common = (f"data.path={text_file}", *THREE_EPOCHS)
    first = spoilt(compose_run(*common), 2, 1000.0)
    first.callbacks["signal_at"] = {"_target_": "toy_callbacks.SignalAt", "batch": 22 * 2 + 3}
    with pytest.raises(KeyboardInterrupt):
        train(first)
    before = min(loss for _, loss in rows_of(tmp_path / "run", "val/loss"))
    checkpoints = tmp_path / "run" / "checkpoints"
    callbacks = torch.load(checkpoints / "last.ckpt", weights_only=True)["callbacks"]
    best = next(
        Path(state["best_model_path"]) for name, state in callbacks.items() if name.startswith("ModelCheckpoint")
    )
    resumed = compose_run(*common, f"ckpt_path={checkpoints / 'last.ckpt'}", f"output_dir={tmp_path / 'resumed'}")
    loss = train(resumed)
    ((_, after),) = rows_of(tmp_path / "resumed", "val/loss")
    assert after > before and loss == pytest.approx(before, abs=1e-5)
    weights = read_checkpoint(best).weights
    exported = read_model(tmp_path / "model.bin").weights
    assert all(torch.equal(exported[name], weights[name]) for name in exported)
    best.unlink()
    with caplog.at_level("INFO"):
        assert train(resumed) == pytest.approx(after, abs=1e-5)
    assert "no longer exists" in caplog.text


class RemoveBest(Callback):
    """Somebody tidies up before the run has ended."""

    def on_train_end(self, trainer, *_):
        Path(trainer.checkpoint_callback.best_model_path).unlink()


def test_last_weights_are_exported_where_the_best_checkpoint_is_deleted(tmp_path, compose_run, text_file, caplog):
    run = spoilt(compose_run(f"data.path={text_file}", *THREE_EPOCHS), 2, 1000.0)
    run.callbacks["remove"] = {"_target_": f"{__name__}.RemoveBest"}
    with caplog.at_level("INFO"):
        loss = train(run)
    assert re.search(r"no longer exists: \S+/step44\.ckpt", caplog.text)
    assert loss == pytest.approx(rows_of(tmp_path / "run", "val/loss")[-1][1], abs=1e-5)


@pytest.mark.parametrize("override", ["callbacks.checkpoint=null", "callbacks.checkpoint.monitor=val/bpb"])
def test_without_a_best_checkpoint_the_loss_is_that_of_the_last_weights(tmp_path, compose_run, text_file, override):
    loss = train(spoilt(compose_run(f"data.path={text_file}", *THREE_EPOCHS, override), 2, 1000.0))
    losses = [loss for _, loss in rows_of(tmp_path / "run", "val/loss")]
    assert min(losses) < losses[-1] == pytest.approx(loss, abs=1e-5)
