"""lai.programs.plot as a user runs it."""

import sys

import pytest

PROGRAM = "lai.programs.plot"


def test_the_losses_of_a_run_become_a_picture(run, tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "metrics.csv").write_text("epoch,step,train/loss,val/loss\n0,9,3.5,\n0,19,2.5,\n0,19,,2.75\n")
    status, _, _ = run(PROGRAM, tmp_path, "--output", tmp_path / "loss.png")
    assert status == 0
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
    for output in ("loss", "loss.txt"):
        status, _, error = run(PROGRAM, tmp_path, "--output", tmp_path / output)
        assert status == 2 and "ending of a picture" in error
    status, _, error = run(PROGRAM, tmp_path / "loss.png")
    assert status == 2 and "it is not a text file" in error
    long = f"step,train/loss\n1,{'x' * 200_000}\n"
    for damaged in (long, "epoch,step\n", "step,train/loss\n1,3,4\n,2\n", "epoch,train/loss\n1,2\n"):
        (tmp_path / "metrics.csv").write_text(damaged)
        status, _, error = run(PROGRAM, tmp_path)
        assert (status, error.count("\n")) == (2, 1)


def test_a_missing_matplotlib_is_one_line(run, tmp_path, monkeypatch):
    (tmp_path / "metrics.csv").write_text("step,train/loss\n9,3.5\n")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    status, _, error = run(PROGRAM, tmp_path, "--output", tmp_path / "loss.png")
    assert (status, error) == (2, "error: drawing needs matplotlib: pip install matplotlib\n")
