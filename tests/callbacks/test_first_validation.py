"""The validation before training, of runs with `init_from`."""

import re

import pytest

from lai.train import train


@pytest.mark.parametrize(("overrides", "told"), [((), 1), (("trainer.limit_val_batches=0",), 0)], ids=str)
def test_the_loss_before_training_is_told_where_there_is_validation(
    compose_run, text_file, caplog, tmp_path, overrides, told
):
    common = (f"data.path={text_file}", "trainer.max_steps=1")
    train(compose_run(*common))
    first = (tmp_path / "model.bin").rename(tmp_path / "first.bin")
    (tmp_path / "run").rename(tmp_path / "first")
    with caplog.at_level("INFO", logger="lai"):
        train(compose_run(*common, f"init_from={first}", *overrides))
    assert len(re.findall(r"val/loss \d+\.\d{4} before training", caplog.text)) == told


def test_the_weights_of_a_run_do_not_depend_on_it(compose_run, text_file, tmp_path, monkeypatch):
    from runs import content_of

    from lai.callbacks.first_validation import FirstValidation

    common = (f"data.path={text_file}", "trainer.max_steps=3")
    train(compose_run(*common))
    first = (tmp_path / "model.bin").rename(tmp_path / "first.bin")
    found = []
    for name in ("with", "without"):
        (tmp_path / "run").rename(tmp_path / name)
        train(compose_run(*common, f"init_from={first}"))
        found.append(content_of(tmp_path / "model.bin"))
        monkeypatch.setattr(FirstValidation, "setup", lambda *_, **__: None)
    assert found[0] == found[1]
