"""What a run chooses for itself."""

import pytest
from mistakes import OUTPUT, mistake
from runs import composed

from lai.config.load import load_run_config


def test_accelerator_decides_the_device_where_device_is_auto():
    run = load_run_config(composed(OUTPUT, "trainer.accelerator=mps"))
    assert (run.device.name, run.trainer["precision"], run.device.num_workers) == ("mps", "32-true", 0)
    assert run.device.tf32 is False
    run = load_run_config(composed(OUTPUT, "trainer.accelerator=cuda", "device.num_workers=9"))
    assert (run.device.name, run.trainer["precision"], run.device.num_workers) == ("cuda", "bf16-mixed", 9)
    assert run.device.tf32 is True


@pytest.mark.parametrize(
    ("overrides", "lr"),
    [
        ([], 0.125 / 128),
        (["model.dim=512"], 0.125 / 512),
        (["optimizer.lr=0.1"], 0.1),
        (["optimizer=muon"], 0.02 / 128**0.5),
        (["optimizer=muon", "model.dim=512"], 0.01 / 128**0.5),
        (["model.lora.rank=8", "ckpt_path=x.ckpt"], 1.25 / 128),
        (["model.lora.rank=8", "ckpt_path=x.ckpt", "optimizer=muon"], 0.2 / 128**0.5),
        (["model.lora.rank=8", "ckpt_path=x.ckpt", "optimizer.lr=0.1"], 0.1),
    ],
)
def test_the_learning_rate_of_the_matrices_falls_with_the_width(overrides, lr):
    run = load_run_config(composed(OUTPUT, "model=nano", *overrides))
    assert run.optimizer.lr == pytest.approx(lr)
    assert run.optimizer.embedding_lr == composed("model=tiny", *overrides).optimizer.embedding_lr  # for every width


def test_an_impossible_width_is_reported_as_such_not_as_a_learning_rate():
    assert mistake("model.dim=0") == "model.dim is 0; it must be from 1 to 16777216"


def test_rows_are_as_long_as_the_context_unless_given():
    assert load_run_config(composed(OUTPUT, "model.max_seq_len=192")).data.seq_len == 192
    assert load_run_config(composed(OUTPUT, "model.max_seq_len=192", "data.seq_len=64")).data.seq_len == 64
