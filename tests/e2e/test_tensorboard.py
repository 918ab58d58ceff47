"""What a running TensorBoard serves of runs, with both of its data servers, and that all places count steps alike."""

import csv
import re
import time

import pytest
import torch
from board import tensorboard
from lightning.pytorch.callbacks import Callback
from runs import rows_of

from lai.train import train

SETTINGS = ("trainer.max_epochs=3", "trainer.val_check_interval=10", "trainer.log_every_n_steps=10")


class Sees(Callback):
    """What a callback of the user's own logs: it gives the step itself."""

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step % 10 == 0:
            for logger in trainer.loggers:
                logger.log_metrics({"own": 1.0}, step=trainer.global_step)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs in folders `0` and `1` of a sweep, of 66 steps each, and of one a table of what each place says."""
    from runs import TINY, composed, example_lines

    from lai.config.load import load_run_config

    folder = tmp_path_factory.mktemp("sweep")
    (folder / "text.txt").write_text("\n".join(example_lines(290)) + "\n", encoding="utf-8")
    for job, lr in enumerate((1e-3, 2e-3)):
        run = load_run_config(
            composed(
                f"output_dir={folder / 'runs' / str(job)}",
                f"data.cache_dir={folder / 'cache'}",
                f"export.path={folder / 'model.bin'}",
                f"data.path={folder / 'text.txt'}",
                f"optimizer.lr={lr}",
                *TINY,
                *SETTINGS,
            )
        )
        monitor = {"_target_": "lightning.pytorch.callbacks.LearningRateMonitor", "logging_interval": "step"}
        run.callbacks |= {"lr": monitor, "own": {"_target_": f"{__name__}.Sees"}}
        # As a run's config.yaml named it before LAi had a logger of its own.
        run.logger["tensorboard"]["_target_"] = "lightning.pytorch.loggers.TensorBoardLogger"
        train(run)
    return folder / "runs"


@pytest.mark.parametrize("fast", [True, False], ids=["the fast data server", "the data server in Python"])
def test_a_running_tensorboard_serves_every_point_and_the_table(runs, fast):
    with tensorboard(runs, fast=fast) as board:
        expected = {job: rows_of(runs / job, "val/loss") for job in ("0", "1")}
        for job, points in expected.items():
            assert len(points) == 7
            for _ in range(100):  # it reads the files in its own time
                if job in (tags := board.tags()) and "val_exported/loss" in tags[job]:
                    break
                time.sleep(0.1)
            assert "epoch" not in tags[job]
            found = board.points(job, "val/loss")
            assert [step for step, _ in found] == [step for step, _ in points]
            assert [value for _, value in found] == pytest.approx([value for _, value in points], rel=1e-6)
            ((step, value),) = board.points(job, "val_exported/loss")
            assert (step, value) == (66, pytest.approx(min(value for _, value in points), rel=1e-5))
        table = {row["name"]: row for row in board.table()}
        for job, lr in (("0", 1e-3), ("1", 2e-3)):
            assert table[job]["settings"]["optimizer.lr"] == pytest.approx(lr)
            assert table[job]["metrics"]["val/loss"] == pytest.approx(expected[job][-1][1], rel=1e-6)
    for job in ("0", "1"):
        assert len(list((runs / job).glob("events.out.tfevents.*"))) == 1


def test_logs_and_checkpoints_count_optimizer_steps(runs):
    with (runs / "0" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["epoch"] for row in rows if row["train/loss"]} == {"0", "1", "2"}
    tens = [10, 20, 30, 40, 50, 60]
    assert [step for step, _ in rows_of(runs / "0", "train/loss")] == [*tens, 66]  # the last one always
    for name in ("train/tokens_per_second", "own", next(key for key in rows[0] if "lr-" in key)):
        assert [step for step, _ in rows_of(runs / "0", name)][:6] == tens, name
    # A validation after each 10 batches of an epoch's 22, and one that ends the run.
    validated = [step for step, _ in rows_of(runs / "0", "val/loss")]
    assert validated == [10, 20, 22 + 10, 22 + 20, 44 + 10, 44 + 20, 66]
    checkpoints = runs / "0" / "checkpoints"
    assert torch.load(checkpoints / "last.ckpt", weights_only=True)["global_step"] == validated[-1]
    (best,) = checkpoints.glob("step*.ckpt")
    assert torch.load(best, weights_only=True)["global_step"] == int(re.findall(r"\d+", best.name)[0])
    assert int(re.findall(r"\d+", best.name)[0]) in validated


@pytest.mark.parametrize("every", [1, 3])
def test_a_validation_amid_accumulated_gradients_has_the_number_of_the_steps_done(
    tmp_path, compose_run, text_file, every
):
    run = compose_run(
        f"data.path={text_file}",
        "trainer.max_steps=4",
        "trainer.accumulate_grad_batches=4",
        "trainer.val_check_interval=6",
        f"trainer.log_every_n_steps={every}",
        "callbacks.checkpoint.save_top_k=-1",
    )
    run.callbacks["lr"] = {"_target_": "lightning.pytorch.callbacks.LearningRateMonitor", "logging_interval": "step"}
    train(run)
    logged = [step for step, _ in rows_of(tmp_path / "run", "train/loss")]
    assert logged == [step for step in (1, 2, 3, 4) if step % every == 0 or step == 4]  # the last one always
    with (tmp_path / "run" / "metrics.csv").open() as file:
        assert "lr-AdamW" in file.readline()
    validated = [step for step, _ in rows_of(tmp_path / "run", "val/loss")]
    assert validated == [1, 3, 4]  # after 6, 12 and 16 batches
    names = sorted(path.name for path in (tmp_path / "run" / "checkpoints").glob("step*.ckpt"))
    assert names == [f"step{step}.ckpt" for step in validated]
