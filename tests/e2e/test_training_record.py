"""What a run keeps of how far it has come, in checkpoints and in the model file, and what it says at its end."""

import logging
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from processes import lai_train
from runs import TINY, rows_of
from toy_checkpoints import make_unversioned

from lai.export.checkpoint import read_checkpoint
from lai.export.lai_file import read_model
from lai.model.record import TrainingRecord
from lai.train import train


def predictions(run):
    """How many tokens an epoch predicts: all of every training document but its first."""
    from lai.data.prepare import prepare_corpus

    file = prepare_corpus(run.data).token_files.train
    return sum(len(file.document(index)) - 1 for index in range(len(file)))


def test_model_file_and_checkpoints_record_steps_and_tokens(tmp_path, compose_run, text_file):
    run = compose_run(f"data.path={text_file}", "trainer.max_epochs=2")
    loss = train(run)
    exported = read_model(tmp_path / "model.bin").training
    assert (exported.steps, exported.tokens) == (44, 2 * predictions(run))
    assert exported.val_loss == pytest.approx(loss, rel=1e-6)
    assert exported.val_loss_floor == 0
    losses = dict(rows_of(tmp_path / "run", "val/loss"))
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        kept = read_checkpoint(path).training
        assert kept.steps == torch.load(path, weights_only=True)["global_step"]
        assert kept.tokens == predictions(run) * kept.steps // 22
        assert kept.val_loss == pytest.approx(losses[kept.steps], abs=1e-4)


class Spoil(Callback):
    """Multiplies a norm's weights when the third epoch begins, so that the loss rises."""

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 2:
            with torch.no_grad():
                pl_module.model.final_norm.weight.mul_(1000.0)


def test_the_record_is_that_of_the_exported_weights(tmp_path, compose_run, text_file, caplog):
    run = compose_run(f"data.path={text_file}", "trainer.max_epochs=3", "trainer.check_val_every_n_epoch=1")
    run.callbacks["spoil"] = {"_target_": f"{__name__}.Spoil"}
    with caplog.at_level(logging.INFO):
        loss = train(run)
    exported = read_model(tmp_path / "model.bin").training
    assert (exported.steps, exported.tokens) == (44, 2 * predictions(run))
    assert exported.val_loss == pytest.approx(loss, rel=1e-6)
    assert f"the model file has the earlier weights of val/loss {loss:.2f}" in caplog.text


def without_training(path):
    """The checkpoint as lai.train wrote it before it told."""
    content = torch.load(path, weights_only=False)
    make_unversioned(content)
    del content["lai"]["training"]
    torch.save(content, path)


class Stop(Callback):
    """Ends the run as Ctrl-C does, behind a batch."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_index):
        if trainer.global_step == 15:
            raise KeyboardInterrupt


@pytest.mark.parametrize("is_told", [True, False])
def test_resumed_run_adds_to_the_record_of_its_checkpoint(tmp_path, compose_run, text_file, is_told):
    first = compose_run(f"data.path={text_file}", "trainer.max_epochs=2")
    first.callbacks["stop"] = {"_target_": f"{__name__}.Stop"}
    with pytest.raises(KeyboardInterrupt):
        train(first)
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    assert read_checkpoint(checkpoint).training.tokens > 0
    if not is_told:
        without_training(checkpoint)
    resumed = compose_run(
        f"data.path={text_file}",
        "trainer.max_epochs=2",
        f"ckpt_path={checkpoint}",
        f"output_dir={tmp_path / 'resumed'}",
    )
    train(resumed)
    exported = read_model(tmp_path / "model.bin").training
    assert (exported.steps, exported.tokens) == (44, 2 * predictions(resumed) if is_told else 0)


def test_the_loss_of_weights_that_were_not_validated_is_unknown(tmp_path, compose_run, text_file):
    run = compose_run(f"data.path={text_file}", "trainer.val_check_interval=11")
    run.callbacks["stop"] = {"_target_": f"{__name__}.Stop"}
    with pytest.raises(KeyboardInterrupt):
        train(run)
    folder = tmp_path / "run" / "checkpoints"
    assert read_checkpoint(folder / "step11.ckpt").training.val_loss > 0
    last = read_checkpoint(folder / "last.ckpt").training
    assert (last.steps, last.val_loss) == (15, 0.0)
    assert last.tokens > read_checkpoint(folder / "step11.ckpt").training.tokens


@pytest.mark.parametrize("normalize", [True, False])
def test_checkpoint_and_model_file_tell_whether_the_text_was_folded(tmp_path, compose_run, text_file, normalize):
    train(compose_run(f"data.path={text_file}", "trainer.max_steps=2", f"data.normalize={str(normalize).lower()}"))
    last = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert last.training.unfolded is read_model(tmp_path / "model.bin").training.unfolded is (not normalize)


def test_floor_of_generated_text_is_in_the_model_file(tmp_path, compose_run, caplog):
    small = {"sentences": 400, "stories": 0, "translations": 200, "instructions": 0, "lexicon": "small"}
    run = compose_run(*(f"data.synthetic.{key}={value}" for key, value in small.items()), "trainer.max_steps=2")
    with caplog.at_level(logging.INFO):
        train(run)
    from lai.data.prepare import prepare_corpus

    floor = prepare_corpus(run.data).floor.loss
    assert read_model(tmp_path / "model.bin").training.val_loss_floor == pytest.approx(floor, rel=1e-6)
    assert "no model gets below it" in caplog.text


def test_a_second_run_keeps_the_first_ones_model(tmp_path, compose_run, text_file, caplog):
    train(compose_run(f"data.path={text_file}", "trainer.max_steps=3"))
    first = (tmp_path / "model.bin").read_bytes()
    with caplog.at_level(logging.INFO):
        train(compose_run(f"data.path={text_file}", "trainer.max_steps=1"))
    assert (tmp_path / "model.1.bin").read_bytes() == first != (tmp_path / "model.bin").read_bytes()
    assert f"the earlier model.bin is kept as {tmp_path / 'model.1.bin'}" in caplog.text
    train(compose_run(f"data.path={text_file}", "trainer.max_steps=1"))  # the same again
    assert not (tmp_path / "model.2.bin").exists()


@pytest.mark.parametrize(
    ("training", "vocab_size", "is_far"),
    [
        (TrainingRecord(), 8000, False),
        (TrainingRecord(steps=10), 8000, False),
        (TrainingRecord(steps=10, val_loss=6.0), 8000, True),  # 2/3 of ln(8000) is 5.99
        (TrainingRecord(steps=10, val_loss=5.98), 8000, False),
        (TrainingRecord(steps=10, val_loss=5.98), 7000, True),  # 5.90
        (TrainingRecord(steps=10, val_loss=1.5, val_loss_floor=1.0), 8000, False),
        (TrainingRecord(steps=10, val_loss=1.51, val_loss_floor=1.0), 8000, True),
        (TrainingRecord(steps=10, val_loss=6.5, val_loss_floor=5.0), 8000, False),
        (TrainingRecord(val_loss_floor=1.0), 8000, False),
    ],
)
def test_note_marks_models_far_from_their_floor(training, vocab_size, is_far):
    note = training.note(vocab_size)
    assert (note is not None) is is_far
    if is_far:
        assert "10 steps" in note and f"val/loss {training.val_loss:.2f}" in note and "\n" not in note


@pytest.mark.heavy
def test_two_processes_record_the_tokens_of_both(tmp_path, text_file):
    """Two processes with batches of 4 rows read the rows that one process with batches of 8 reads."""
    seen = {}
    for devices, rows in ((1, 8), (2, 4)):
        done = lai_train(
            *(setting for setting in TINY if not setting.startswith("data.batch_size")),
            f"data.batch_size={rows}",
            f"data.path={text_file}",
            "trainer.max_steps=5",
            f"trainer.devices={devices}",
            "trainer.strategy=auto",
            f"hydra.run.dir={devices}",
            cwd=tmp_path,
            OMP_NUM_THREADS="1",
        )
        assert done.returncode == 0, done.stderr
        seen[devices] = read_model(Path(tmp_path) / "models" / "lai-tiny.bin").training.tokens
    assert seen[1] == seen[2] > 0
