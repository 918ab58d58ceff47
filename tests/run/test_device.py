"""Which devices are refused, and the CPU threads of each process."""

import os

import pytest
import torch

from lai.run.build import build_trainer


@pytest.mark.parametrize(
    ("given", "threads", "expected"), [("3", "null", 3), ("3", "2", 2), (None, "2", 2), (None, "null", 4)]
)
def test_each_process_has_the_threads_that_were_asked_for(compose_run, monkeypatch, given, threads, expected):
    before = torch.get_num_threads()
    monkeypatch.setattr("lai.run.device._THREADS", int(given or 8))  # as PyTorch reads it when it is imported
    monkeypatch.setenv("OMP_NUM_THREADS", "")  # so that it is put back
    monkeypatch.delenv("OMP_NUM_THREADS")
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    try:
        build_trainer(compose_run(f"device.threads={threads}", "trainer.devices=2"), [])
        assert torch.get_num_threads() == int(os.environ["OMP_NUM_THREADS"]) == expected
    finally:
        torch.set_num_threads(before)
