"""The best checkpoint has the weights for export, and by default no state of the optimizer."""

import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from toy_callbacks import with_callback

from lai.callbacks.best_checkpoint import BestCheckpoint
from lai.export.checkpoint import read_checkpoint
from lai.train import train


def test_it_takes_its_state_from_checkpoints_of_earlier_versions(tmp_path):
    keys = [kind(tmp_path, monitor="val/loss", save_top_k=1).state_key for kind in (BestCheckpoint, ModelCheckpoint)]
    assert keys[0] == keys[1]


def test_averaged_weights_are_in_a_best_checkpoint_without_optimizer_state(tmp_path, compose_run, text_file):
    average = "lightning.pytorch.callbacks.EMAWeightAveraging"
    for keep in ("all", "resume"):
        run = compose_run(f"data.path={text_file}", f"checkpoint.keep={keep}", f"output_dir={tmp_path / keep}")
        run.trainer["max_epochs"] = 1
        train(with_callback(run, average))
    kept, best = (
        read_checkpoint(tmp_path / keep / "checkpoints" / "step22.ckpt").weights for keep in ("all", "resume")
    )
    assert all(torch.equal(kept[name], best[name]) for name in kept)
    trained = torch.load(tmp_path / "all" / "checkpoints" / "step22.ckpt", weights_only=True)["current_model_state"]
    assert any(not torch.equal(best[name], trained[f"model.{name}"]) for name in best)
