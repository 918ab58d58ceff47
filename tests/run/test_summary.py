"""The lines of a run before and after training."""

import logging
import math

import pytest
from processes import lai_train
from runs import TINY

from lai.export.lai_file import read_model
from lai.train import train


def test_start_line_gives_rows_and_tokens_of_a_step(compose_run, text_file, caplog):
    with caplog.at_level("INFO", logger="lai"):
        train(compose_run(f"data.path={text_file}", "trainer.max_epochs=1", "trainer.accumulate_grad_batches=8"))
    assert "batches of 4 x 64 tokens, 8 a step (32 rows, 2,048 tokens), 1 epoch" in caplog.text
    assert "the last step of each epoch has 6 batches instead of 8" in caplog.text
    assert "step 3/3" in caplog.text


def test_program_prints_data_model_and_files(tmp_path, text_file):
    # Without a list of fonts, as on a new machine: matplotlib, where it is installed, makes one and tells of it.
    fonts = {"MPLCONFIGDIR": str(tmp_path / "fonts")}
    done = lai_train(*TINY, f"data.path={text_file}", "trainer.max_steps=2", cwd=tmp_path, **fonts)
    assert done.returncode == 0, done.stderr
    assert "font" not in done.stdout
    for words in ("documents", "exact duplicates", "parameters", "without the embedding", "models/lai-tiny.bin"):
        assert words in done.stdout
    assert (tmp_path / "models" / "lai-tiny.bin").is_file()
    runs = list(tmp_path.glob("outputs/*-*-*/*-*-*"))
    assert len(runs) == 1
    for name in ("config.yaml", "train.log", "metrics.csv", "checkpoints/last.ckpt"):
        assert (runs[0] / name).is_file(), name
    assert list(runs[0].glob("events.out.tfevents.*"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (("optimizer.lr=1e-9", "optimizer.embedding_lr=1e-9"), "val/loss ends at .* learned nothing; raise optimizer"),
        (
            ("optimizer.lr=1e-9", "optimizer.embedding_lr=1e-9", "trainer.limit_val_batches=0"),
            "train/loss ends at .* learned nothing; raise optimizer",
        ),
        (("optimizer.lr=20", "optimizer.embedding_lr=20"), "val/loss ends at .* too high; lower optimizer"),
        (("optimizer.lr=1e-2",), None),
    ],
)
def test_loss_of_guessing_draws_a_warning_with_the_remedy(tmp_path, compose_run, text_file, caplog, settings, words):
    run = compose_run(f"data.path={text_file}", "trainer.max_steps=20", *settings)
    with caplog.at_level(logging.INFO):
        loss = train(run)
    warnings = [record.getMessage() for record in caplog.records if record.getMessage().startswith("warning ")]
    assert len(warnings) == (words is not None)
    guessing = math.log(read_model(tmp_path / "model.bin").config.vocab_size)
    if words is None:
        assert loss < guessing - 1
    else:
        before, after = words.split(" .* ")
        assert before in warnings[0] and after in warnings[0] and f"ln(vocab_size), {guessing:.2f}" in warnings[0]
        assert not loss < guessing - 0.1


GENERATED = [
    "data=synthetic",
    "data.synthetic.sentences=0",
    "data.synthetic.stories=0",
    "data.synthetic.instructions=0",
    "data.synthetic.translations=40",
    "data.synthetic.lexicon=small",
    "data.seq_len=64",
    "trainer.max_steps=2",
]


def answers_line(caplog, run):
    """The last lines' report on answers; None without one."""
    caplog.clear()
    with caplog.at_level(logging.INFO):
        train(run)
    lines = [record.getMessage() for record in caplog.records if record.getMessage().startswith("answers ")]
    assert len(lines) < 2
    return lines[0] if lines else None


def test_a_run_on_generated_conversations_ends_with_exact_answers_by_turn(tmp_path, compose_run, caplog):
    mix = "data.synthetic.instruction_mix={translate: 1, small_talk: 1}"
    settings = ("model.max_seq_len=256", "data.synthetic.conversations=100", "data.synthetic.turns=4")
    line = answers_line(caplog, compose_run(*GENERATED, mix, *settings))
    assert line.endswith("in 32 conversations with held-out translations: turn 1 0.0%, turn 2 0.0%, turn 4 0.0%")
    assert read_model(tmp_path / "model.bin").training.turns == 4


def test_conversations_that_cannot_be_asked_do_not_fail_the_run(tmp_path, compose_run, caplog):
    mix = "data.synthetic.instruction_mix={translate: 1}"
    assert answers_line(caplog, compose_run(*GENERATED, mix, "data.synthetic.conversations=0")) is None
    line = answers_line(
        caplog, compose_run(*GENERATED, mix, "data.synthetic.conversations=9", "data.synthetic.held_out=0")
    )
    assert "are not asked: no combination of words is held out" in line
    assert (tmp_path / "model.bin").is_file()
