"""Runs that are killed at random moments and started again end in the weights of an undisturbed run."""

import os
from pathlib import Path

import pytest
from processes import python

ROOT = Path(__file__).parents[2]
MOMENTS = [
    "preparing data", "first step", "mid-accumulation", "validation", "writing a checkpoint", "export",
    "dropping the state", "a worker", "one of two ranks",
]  # fmt: skip


@pytest.mark.heavy
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_ends_in_the_weights_of_an_undisturbed_one(tmp_path, moment):
    script = ("benchmarks/kills.py", "--times", 2, "--moments", moment, "--folder", tmp_path)
    done = python(*script, cwd=ROOT, PYTHONPATH=os.fspath(ROOT), OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| 2 equal |" in done.stdout
