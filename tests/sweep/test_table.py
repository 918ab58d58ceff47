"""The table of a sweep, against figures that are worked out by hand."""

import csv
from pathlib import Path

import pytest

from lai.host.process import Process
from lai.sweep.ledger import DONE, FAILED, Job, Ledger
from lai.sweep.table import best, command_of, groups, lines, write_csv

ME = Process.this()


def done(number, overrides, loss, **more):
    result = {"metrics": {} if loss is None else {"val/loss": loss, **more}, "steps": 7}
    return Job(number, tuple(overrides), Path(str(number)), state=DONE, result=result)


JOBS = [
    done(0, ["model=nano", "lr=1", "seed=1"], 3.0),
    done(1, ["model=nano", "lr=1", "seed=2"], 1.0),
    done(2, ["model=nano", "lr=2", "seed=1"], 1.5),
    done(3, ["model=nano", "lr=2", "seed=2"], 2.1),
    Job(4, ("model=nano", "lr=3", "seed=1"), Path("4"), state=FAILED, error="memory has run out"),
    done(5, ["model=nano", "lr=3", "seed=2"], None),
]


def test_jobs_that_differ_in_their_seed_alone_are_one_group_and_the_best_mean_is_first():
    found = groups(JOBS, "val/loss")
    assert [(group.settings, [job.number for job in group.jobs]) for group in found] == [
        (("lr=2",), [2, 3]),
        (("lr=1",), [0, 1]),
        (("lr=3",), [4, 5]),
    ]
    # Deviation of 1.5 and 2.1: 0.6 / sqrt 2; of their mean: divided by sqrt 2 again.
    assert [group.shown("val/loss") for group in found] == ["1.8000 ± 0.3000", "2.0000 ± 1.0000", ""]


def test_the_best_job_is_that_of_the_best_group_though_another_had_luck():
    assert best(JOBS, "val/loss").number == 2
    assert best(JOBS[4:], "val/loss") is None
    assert best([], "val/loss") is None


def test_a_single_run_has_no_error():
    assert groups(JOBS[:1], "val/loss")[0].shown("val/loss") == "3.0000"


def test_the_command_does_the_job_again_as_a_run_of_its_own():
    job = done(3, ["data.path=a b.txt", "export.path=m${hydra:job.num}.bin", "sweep.metric=val/bpb"], 1.0)
    arguments = ["-cd", "more", "hydra.sweep.subdir=x", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    found = command_of(job, [*arguments, "hydra.job.chdir=true", "data.path=a,b"])
    assert found == "python -m lai.train -cd more hydra.job.chdir=true 'data.path=a b.txt' export.path=m3.bin"


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = Ledger(tmp_path / "s" / "sweep.db")
    made.create({"space": [], "arguments": [], "metric": "val/loss"})
    made.add([Job(number, (f"seed={number}", "lr=1"), tmp_path / "s" / str(number)) for number in range(4)])
    start = made.begin(ME)
    for number in range(3):
        made.claim(number, ME, start)
    made.end(0, DONE, {"metrics": {"val/loss": 2.5, "val/bpb": 1.25}, "steps": 7, "duration_s": 1.5})
    made.end(1, FAILED, error="memory has run out")
    return made


def test_every_job_that_is_not_done_has_its_line(ledger):
    text = "\n".join(lines(ledger))
    assert "sweep       s: 4 jobs: 1 done, 1 running, 1 waiting, 1 failed\n" in text
    assert "best        job 0, val/loss 2.5000: s/0\n            python -m lai.train seed=0 lr=1\n" in text
    assert "failed      job 1: memory has run out\n" in text
    assert f"running     job 2 for 0:00:00, in process {ME.pid} of {ME.host}\n" in text
    assert "to do       job 3: python -m lai.train -m sweep.resume=s\n" in text
    assert "sweep.resume=s sweep.retry_failed=true" in text
    assert "2.5000    1.2500   1/4   0-3" in text


def test_a_long_table_is_cut_and_says_so(ledger, tmp_path):
    ledger.add([Job(number, (f"lr={number}",), tmp_path / str(number)) for number in range(10, 60)])
    text = "\n".join(lines(ledger))
    assert "and 31 more: sweep.csv" in text
    assert "lr=29" not in text


def test_the_csv_file_has_a_row_a_job(ledger):
    with write_csv(ledger).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == ["done", "failed", "running", "waiting"]
    assert (rows[0]["val/loss"], rows[0]["val/bpb"], rows[0]["steps"], rows[0]["lr"]) == ("2.5", "1.25", "7", "1")
    assert rows[1]["error"] == "memory has run out"
    assert rows[3]["started"] == rows[3]["val/loss"] == ""
