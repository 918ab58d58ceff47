"""A sweep that is killed at random moments ends in the results of an undisturbed one."""

import os
from pathlib import Path

import pytest
from processes import python

ROOT = Path(__file__).parents[2]


@pytest.mark.heavy
def test_a_killed_sweep_ends_in_the_results_of_an_undisturbed_one(tmp_path):
    script = ("benchmarks/sweep_kills.py", "--times", 4, "--jobs", 4, "--folder", tmp_path)
    done = python(*script, cwd=ROOT, PYTHONPATH=os.fspath(ROOT), OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| 4 kills | 4 jobs equal | 0 faults |" in done.stdout
