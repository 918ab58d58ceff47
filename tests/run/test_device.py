"""Which devices are refused, and the CPU threads of each process."""

import os
from types import SimpleNamespace

import lightning.fabric.accelerators
import pytest
import torch
from lightning.pytorch.accelerators import MPSAccelerator
from toy_tokens import token_file

from lai.run.build import build_datamodule, build_trainer
from lai.run.device import prepare_device


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


@pytest.mark.parametrize("accelerator", ["mps", "auto"])
def test_a_run_on_an_apple_gpu_has_one_device_and_loads_batches_in_its_own_process(
    compose_run, monkeypatch, tmp_path, accelerator
):
    for kind in (torch.backends.mps, MPSAccelerator, lightning.fabric.accelerators.MPSAccelerator):
        monkeypatch.setattr(kind, "is_available", lambda: True)
    run = compose_run(f"trainer.accelerator={accelerator}")
    assert run.device.name == "mps" and run.device.check
    prepare_device(run)
    trainer = build_trainer(run, [])
    assert isinstance(trainer.accelerator, MPSAccelerator) and trainer.strategy.root_device.type == "mps"
    assert (trainer.num_devices, trainer.world_size, trainer.precision) == (1, 1, "32-true")
    file = token_file(tmp_path / "x.bin", range(2, 40))
    data = build_datamodule(run, SimpleNamespace(token_files=SimpleNamespace(train=file, val=file), sources=()))
    for loader in (data.train_dataloader(), data.val_dataloader()):
        assert (loader.num_workers, loader.pin_memory, loader.persistent_workers) == (0, False, False)
        assert next(iter(loader))["tokens"].dtype == torch.int64  # MPS has it, but no float64
    assert {len(batch["tokens"]) for batch in data.train_dataloader()} == {4}  # the last batch has no other shape
