"""What `+estimate=true` tells, against the run that it is about."""

import re

import pytest

from lai.train import train


@pytest.fixture
def estimate(compose_run, text_file, caplog):
    """The lines that are logged for a run with these overrides."""

    def lines(*overrides: str) -> str:
        with caplog.at_level("INFO", logger="lai"):
            train(compose_run(f"data.path={text_file}", "+estimate=true", *overrides))
        return caplog.text

    return lines


def test_estimate_gives_the_tokens_of_the_whole_run(estimate, tmp_path):
    told = estimate("trainer.max_epochs=400", "data.seq_len=32")
    documents, tokens = re.search(r"training ([\d,]+) documents, ([\d,]+) tokens", told).groups()
    predictions = int(tokens.replace(",", "")) - int(documents.replace(",", ""))
    estimated = int(re.search(r"for ([\d,]+) tokens", told)[1].replace(",", ""))
    assert estimated == pytest.approx(400 * predictions, rel=0.1)
    assert float(re.search(r"text is read ([\d.]+) times", told)[1]) == pytest.approx(400, rel=0.1)
    assert not (tmp_path / "model.bin").exists() and not list(tmp_path.rglob("*.ckpt"))


def test_short_last_step_of_an_epoch_counts_with_its_own_batches(estimate):
    told = estimate("trainer.max_epochs=400", "data.seq_len=32", "trainer.accumulate_grad_batches=30")
    assert float(re.search(r"text is read ([\d.]+) times", told)[1]) == pytest.approx(400, rel=0.1)


def test_estimate_of_a_resumed_run_gives_what_is_left(estimate, tmp_path, compose_run, text_file):
    train(compose_run(f"data.path={text_file}", "trainer.max_epochs=10", "data.seq_len=32"))
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    told = estimate("trainer.max_epochs=16", "data.seq_len=32", f"ckpt_path={checkpoint}")
    assert float(re.search(r"text is read ([\d.]+) times", told)[1]) == pytest.approx(6, rel=0.15)


@pytest.mark.parametrize(("epochs", "readings"), [(1, 1), (400, 4)])
def test_too_little_text_for_the_model_draws_a_warning(estimate, epochs, readings):
    told = estimate(f"trainer.max_epochs={epochs}", "data.seq_len=32")
    documents, tokens = re.search(r"training ([\d,]+) documents, ([\d,]+) tokens", told).groups()
    predictions = int(tokens.replace(",", "")) - int(documents.replace(",", ""))
    enough_for = int(
        re.search(r"warning     this text is enough for about ([\d,]+) parameters", told)[1].replace(",", "")
    )
    assert enough_for == pytest.approx(readings * predictions / 20, rel=0.1)


def test_generated_text_draws_no_warning(compose_run, caplog):
    documents = [
        f"data.synthetic.{kind}={n}" for kind, n in {"sentences": 200, "stories": 5, "translations": 50}.items()
    ]
    with caplog.at_level("INFO", logger="lai"):
        train(compose_run("data.synthetic.instructions=0", *documents, "+estimate=true", "trainer.max_epochs=1"))
    assert "tokens a parameter; the text is read 1.0 times" in caplog.text
    assert "warning" not in caplog.text


def test_unknown_peak_memory_leaves_its_line_out(estimate, monkeypatch):
    monkeypatch.setattr("lai.run.estimate.peak_memory", lambda: None)
    assert "GB of memory" not in estimate("trainer.max_steps=1", "data.seq_len=32")


def test_run_of_one_step_is_estimated(estimate):
    told = estimate("trainer.max_steps=1", "data.seq_len=32", "data.batch_size=1")
    assert 0 < int(re.search(r"for ([\d,]+) tokens", told)[1].replace(",", "")) <= 32


def test_max_time_limits_the_estimate(estimate):
    told = estimate("trainer.max_epochs=-1", "trainer.max_time=00:01:30:00")
    assert "1 h 30 min without validation" in told
    assert "1 h 30 min without validation" in estimate("trainer.max_epochs=-1", "trainer.max_time={minutes: 90}")


def test_estimate_must_be_true_or_false(compose_run, text_file):
    from lai.host.errors import UserError

    with pytest.raises(UserError, match="estimate: 'maybe' is not true or false"):
        compose_run(f"data.path={text_file}", "+estimate=maybe")
