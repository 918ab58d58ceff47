"""A resumed run with other validation documents starts its scores anew."""

import random

import pytest
import torch
from runs import rows_of

from lai.export.lai_file import read_model
from lai.train import train


@pytest.mark.parametrize("folder", ["run", "other"])
def test_scores_of_other_validation_documents_are_forgotten(tmp_path, compose_run, text_file, caplog, folder):
    stop = [f"+callbacks.stop.{key}" for key in ("monitor=val/loss", "patience=1")]
    stop.append("+callbacks.stop._target_=lightning.pytorch.callbacks.EarlyStopping")
    before = train(compose_run(f"data.path={text_file}", "trainer.max_epochs=3", *stop))
    (tmp_path / "model.bin").rename(tmp_path / "before.bin")
    other = tmp_path / "other.txt"
    letters = random.Random(0)
    other.write_text("".join("".join(letters.choices("abcdefghij", k=40)) + "\n" for _ in range(300)))
    resumed = compose_run(
        f"data.path={other}",
        f"data.vocab_path={tmp_path / 'before.bin'}",
        "trainer.max_epochs=6",
        "data.batch_size=5",
        f"ckpt_path={tmp_path / 'run' / 'checkpoints' / 'last.ckpt'}",
        f"output_dir={tmp_path / folder}",
        *stop,
    )
    with caplog.at_level("INFO"):
        after = train(resumed)
    for kind in ("training", "validation"):
        assert f"the {kind} documents are not the checkpoint's" in caplog.text
    assert "data.batch_size is 5, but 4 in the checkpoint" in caplog.text
    losses = [loss for _, loss in rows_of(tmp_path / folder, "val/loss")]
    assert len(losses) == 3  # and not stopped because the first is higher than before
    assert after == pytest.approx(min(losses), abs=1e-5)
    assert after > before
    weights = [read_model(tmp_path / name).weights for name in ("before.bin", "model.bin")]
    assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
