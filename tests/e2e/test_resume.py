"""Whole runs that are resumed: they do what an uninterrupted run does, or say what differs."""

import pytest
import torch
from runs import content_of, rows_of

from lai.host.errors import UserError
from lai.train import train

WORKER = "device.num_workers=1"  # a process that makes the batches, some of them before they are asked for


@pytest.mark.parametrize(
    ("steps", "overrides"),
    [(13, ()), (13, (WORKER,)), (22, ()), (22, (WORKER,)), (31, ("optimizer=muon",))],
    ids=["inside an epoch", "inside, with a worker", "at its end", "at its end, with a worker", "later"],
)
def test_a_resumed_run_does_exactly_what_an_uninterrupted_one_does(tmp_path, compose_run, text_file, steps, overrides):
    common = (f"data.path={text_file}", "trainer.max_epochs=3", *overrides)
    whole = compose_run(*common)
    whole.callbacks["every_step"] = {
        "_target_": "lightning.pytorch.callbacks.ModelCheckpoint",
        "dirpath": str(tmp_path / "steps"),
        "filename": "{step}",
        "every_n_train_steps": 1,
        "save_top_k": -1,
        "save_on_train_epoch_end": False,
    }
    expected = train(whole)
    assert torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["global_step"] == 3 * 22
    (tmp_path / "run").rename(tmp_path / "whole")
    resumed = compose_run(*common, f"ckpt_path={tmp_path / 'steps' / f'step={steps}.ckpt'}".replace("step=", "step\\="))
    assert train(resumed) == expected
    assert torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["global_step"] == 3 * 22


def test_resumed_run_says_which_settings_of_the_checkpoint_it_keeps(tmp_path, compose_run, text_file, caplog):
    train(compose_run(f"data.path={text_file}", "trainer.max_steps=2", "optimizer.lr=1e-3"))
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    with caplog.at_level("INFO"):
        train(
            compose_run(f"data.path={text_file}", "trainer.max_steps=3", "optimizer.lr=1e-5", f"ckpt_path={checkpoint}")
        )
    assert "optimizer.lr stays 0.001, as in the checkpoint; 1e-05 is ignored" in caplog.text
    assert "embedding_lr" not in caplog.text.replace("optimizer.lr", "")


def rates(tmp_path):
    """The rate of each step, by the number of steps before it."""
    return {step - 1: rate for step, rate in rows_of(tmp_path / "run", "train/lr")}


@pytest.mark.parametrize(
    "overrides", [(), ("optimizer=muon", "schedule=cosine"), ("trainer.accumulate_grad_batches=5",)]
)
def test_longer_resumed_run_has_the_learning_rates_of_an_uninterrupted_one(
    tmp_path, compose_run, text_file, caplog, overrides
):
    common = (f"data.path={text_file}", "trainer.log_every_n_steps=1", *overrides)
    train(compose_run(*common, "trainer.max_epochs=3"))
    whole = rates(tmp_path)
    train(compose_run(*common, "trainer.max_epochs=2"))
    begin = 2 * len(whole) // 3
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    with caplog.at_level("INFO", logger="lai"):
        train(compose_run(*common, "trainer.max_epochs=3", f"ckpt_path={last}"))
    assert f"resuming at step {begin} of {len(whole)}" in caplog.text
    resumed = rates(tmp_path)
    assert [*resumed] == [*range(begin, len(whole))]
    assert resumed == {step: whole[step] for step in resumed}


@pytest.mark.parametrize(
    ("steps", "overrides"),
    [
        (44, ("data.batch_size=20",)),
        (44, ("data.batch_size=2", "trainer.max_epochs=3")),
        (33, ("trainer.accumulate_grad_batches=4",)),  # inside an epoch
        (33, ("trainer.accumulate_grad_batches=4", "trainer.max_steps=1000")),
    ],
    ids=str,
)
def test_resumed_schedule_ends_with_the_run(tmp_path, compose_run, text_file, caplog, steps, overrides):
    common = (f"data.path={text_file}", "trainer.log_every_n_steps=1")
    train(compose_run(*common, "trainer.max_epochs=2", f"trainer.max_steps={steps}"))
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    with caplog.at_level("INFO", logger="lai"):
        train(compose_run(*common, "trainer.max_epochs=5", f"ckpt_path={last}", *overrides))
    found = rates(tmp_path)
    total = max(found) + 1
    assert f"resuming at step {steps} of {total}" in caplog.text
    peak, warmup = 0.125 / 32, 0.02
    for step, rate in found.items():  # linear: what is left of the way from the warm-up to the end
        assert rate == pytest.approx(peak * (1 - ((step + 1) / (total + 1) - warmup) / (1 - warmup)), rel=1e-3)


def test_a_schedule_that_is_over_is_refused(tmp_path, compose_run, text_file):
    common = (f"data.path={text_file}", "trainer.max_epochs=-1", "trainer.max_time=00:00:01:00")
    train(compose_run(*common, "trainer.max_steps=2"))
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    (tmp_path / "model.bin").unlink()
    checkpoint = torch.load(last, weights_only=True)
    checkpoint["callbacks"]["Timer"]["time_elapsed"]["train"] = 61.0
    torch.save(checkpoint, last)
    # Without its steps, which have to be done, it would be refused because there is nothing left to train.
    with pytest.raises(UserError, match=r"rate is 0 from step 2 on.*trainer\.max_time"):
        train(compose_run(*common, "trainer.max_steps=9", "+trainer.min_steps=9", f"ckpt_path={last}"))
    assert not (tmp_path / "model.bin").exists()


def test_a_checkpoint_of_another_model_is_refused(tmp_path, compose_run, text_file):
    train(compose_run(f"data.path={text_file}", "trainer.max_steps=1"))
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    with pytest.raises(UserError, match=r"hidden_dim 64.*hidden_dim 96"):
        train(compose_run(f"data.path={text_file}", "model.hidden_dim=96", f"ckpt_path={checkpoint}"))
    with pytest.raises(UserError, match="optimizer is adamw, this run's is muon"):
        train(compose_run(f"data.path={text_file}", "optimizer=muon", f"ckpt_path={checkpoint}"))
    with pytest.raises(UserError, match="no such file"):
        train(compose_run(f"data.path={text_file}", "ckpt_path=no/such.ckpt"))


@pytest.mark.parametrize(
    "overrides", [(), ("trainer.limit_val_batches=0",), ("trainer.val_check_interval=11",)], ids=str
)
def test_a_finished_run_that_is_started_again_exports_its_best(tmp_path, compose_run, text_file, caplog, overrides):
    common = (f"data.path={text_file}", "trainer.max_epochs=2", *overrides)
    train(compose_run(*common))
    expected = content_of(tmp_path / "model.bin")
    (tmp_path / "model.bin").unlink()  # as after a kill in the export
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    before = checkpoint.read_bytes()
    with caplog.at_level("INFO", logger="lai"):
        train(compose_run(*common, f"ckpt_path={checkpoint}"))
    assert "nothing is left to train up to trainer.max_epochs 2: the run's weights are exported" in caplog.text
    assert content_of(tmp_path / "model.bin") == expected
    assert checkpoint.read_bytes() == before
