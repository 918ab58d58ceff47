"""A resumed run tells which settings differ from those of its checkpoint."""

import pytest

from lai.callbacks.settings import RunSettings
from lai.host.errors import UserError
from lai.train import train


def told(caplog, before, now):
    with caplog.at_level("INFO", logger="lai"):
        RunSettings(now).load_state_dict(RunSettings(before).state_dict())
    return [record.getMessage() for record in caplog.records]


def test_each_changed_setting_is_a_line(caplog):
    before = {"trainer.precision": "32-true", "trainer.max_steps": -1, "schedule.name": "linear", "device.tf32": None}
    now = {"trainer.precision": "bf16-mixed", "trainer.max_steps": 9, "schedule.name": "linear", "device.tf32": True}
    assert told(caplog, before, now) == [
        "device.tf32 is true now, and was null in the checkpoint",
        "trainer.max_steps is 9 now, and was -1 in the checkpoint",
        "trainer.precision is bf16-mixed now, and was 32-true in the checkpoint",
    ]


def test_a_new_setting_and_one_that_is_gone_are_lines(caplog):
    lines = told(caplog, {"callbacks.old._target_": "a.B"}, {"trainer.max_time": "01:00"})
    assert lines == [
        "callbacks.old._target_ is null now, and was a.B in the checkpoint",
        "trainer.max_time is 01:00 now, and was null in the checkpoint",
    ]


@pytest.mark.parametrize("key", ["output_dir", "export.path", "data.cache_dir", "callbacks.last.dirpath"])
def test_what_changes_no_weight_is_no_line(caplog, key):
    assert not told(caplog, {key: "a"}, {key: "b"})


def test_a_resumed_run_tells_its_changed_settings_once(tmp_path, compose_run, text_file, caplog):
    common = (f"data.path={text_file}", "trainer.max_steps=2")
    train(compose_run(*common))
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    changed = ("trainer.accumulate_grad_batches=2", "trainer.gradient_clip_val=0.5", "schedule=cosine")
    more = ("schedule.warmup_fraction=0.1", "schedule.final_fraction=0.2", "trainer.max_steps=4", "seed=1")
    caplog.clear()
    with caplog.at_level("INFO", logger="lai"):
        train(compose_run(*common[:1], *changed, *more, "data.batch_size=5", f"ckpt_path={last}"))
    lines = [line for line in caplog.messages if "checkpoint" in line and (" was " in line or "resumes at" in line)]
    names = [line.split(" is ")[0] for line in lines]
    assert sorted(names) == [
        "data.batch_size",
        "schedule.final_fraction",
        "schedule.name",
        "schedule.warmup_fraction",
        "seed",
        "trainer.accumulate_grad_batches",
        "trainer.gradient_clip_val",
        "trainer.max_steps",
    ]


@pytest.mark.parametrize(
    "state", [{}, {"settings": 1}, {"settings": "{"}, {"settings": "[]"}, {"settings": "[" * 9999}]
)
def test_a_state_of_another_kind_is_one_line(state):
    with pytest.raises(UserError, match=r"the checkpoint cannot be resumed: callbacks\.RunSettings\.?") as found:
        RunSettings({}).load_state_dict(state)
    assert "\n" not in str(found.value)
