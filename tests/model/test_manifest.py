"""The manifest as plain data: how starts add up, and what is read from files of strangers."""

import json

import pytest

from lai.host.errors import UserError
from lai.model import manifest
from lai.model.manifest import Manifest
from lai.model.record import TrainingRecord

RECORD = TrainingRecord(steps=10, tokens=640, val_loss=1.5, val_loss_floor=0.5)


def test_a_resumed_run_keeps_its_earlier_starts_and_adds_their_time():
    first = Manifest({"seed": 7}).at(RECORD)
    first["starts"][0]["duration_s"] = 100.0
    resumed = Manifest({"seed": 7})
    resumed.resume_from(json.loads(manifest.to_json(first)), step=10)
    found = resumed.at(TrainingRecord(steps=20, tokens=1280))
    assert [start["step"] for start in found["starts"]] == [0, 10]
    assert found["duration_s"] >= 100.0
    assert (found["seed"], found["steps"], found["tokens_seen"]) == (7, 20, 1280)


def test_metrics_are_those_of_the_weights_and_are_valid_json():
    assert Manifest().at(RECORD)["metrics"] == {"val/loss": 1.5, "val/loss_floor": 0.5}
    found = Manifest().at(RECORD, {"val/loss": 1.25, "train/loss": float("nan")})
    assert json.loads(manifest.to_json(found), parse_constant=pytest.fail)["metrics"] == {"val/loss": 1.25}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "no JSON"),
        (b"[1]", "no JSON object"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b" " * (manifest.MAX_SIZE + 1), "expected at most 1,048,576"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_one_line(data, words):
    with pytest.raises(UserError, match=f"^x.bin has .*{words}") as raised:
        manifest.from_json(data, "x.bin")
    assert "\n" not in str(raised.value)


def test_rows_name_the_values_of_lists_and_objects():
    content = {"seed": 7, "overrides": ["a=1", "b=2"], "data": [{"name": "x.txt", "bytes": 12345}], "commit": None}
    assert list(manifest.rows(content)) == [
        ("seed", "7"), ("overrides", "a=1 b=2"), ("data.1.name", "x.txt"), ("data.1.bytes", "12,345"),
        ("commit", "unknown"),
    ]  # fmt: skip
