"""Hydra multiruns of `lai.train`: what the jobs share, and what they must not."""

import gc
import os
import signal
import subprocess
import threading
from pathlib import Path

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from processes import lai_train, start_lai_train
from runs import TINY, content_of


def test_a_sweep_gives_a_folder_a_job_and_prepares_its_data_once(tmp_path, text_file):
    done = lai_train(
        "-m", *TINY, f"data.path={text_file}", "trainer.max_steps=2", "optimizer.lr=1e-3,3e-4", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    jobs = sorted(path.name for path in tmp_path.glob("outputs/*-*-*/*-*-*/*") if path.is_dir())
    assert jobs == ["0", "1"]
    for job in tmp_path.glob("outputs/*-*-*/*-*-*/[01]"):
        assert list(job.glob("events.out.tfevents.*"))
        assert (job / "lai-tiny.bin").is_file()
    assert len(list(tmp_path.glob("outputs/cache/shards-*/meta.json"))) == 1
    assert len(list(tmp_path.glob("outputs/cache/vocab-*.bin"))) == 1
    assert not (tmp_path / "models").exists()


@pytest.mark.heavy
def test_the_processes_of_a_sweeps_job_do_that_job_alone(tmp_path, text_file):
    run = ("-m", *TINY, f"data.path={text_file}", "trainer.max_steps=2", "trainer.devices=1,2", "trainer.strategy=auto")
    done = lai_train(*run, "seed=1,2", "export.path=job${hydra:job.num}.bin", cwd=tmp_path, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    (sweep,) = tmp_path.glob("outputs/*-*-*/*-*-*")
    of_two = [job for job in range(4) if "2 processes" in (sweep / str(job) / "train.log").read_text()]
    assert of_two == [2, 3]
    assert done.stdout.count("jobs: 4 done") == 1
    assert len({content_of(tmp_path / f"job{job}.bin") for job in range(4)}) == 4
    assert not (tmp_path / "models").exists()


class Leftovers(Callback):
    """Notes at the start of a job's training what the jobs before have left in this process."""

    def on_train_start(self, trainer, pl_module):
        kinds = [lightning.Trainer, torch.optim.Optimizer, type(pl_module)]
        alive = [sum(isinstance(thing, kind) for thing in gc.get_objects()) for kind in kinds]
        with Path("leftovers.txt").open("a") as file:
            print(*alive, threading.active_count(), len(list(Path("/proc/self/fd").iterdir())), file=file)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are counted in /proc")
def test_a_job_leaves_nothing_behind_in_memory_or_open(tmp_path, text_file):
    run = ("-m", *TINY, f"data.path={text_file}", "trainer.max_steps=1", f"+callbacks.a._target_={__name__}.Leftovers")
    # The second and fourth fail while they train.
    done = lai_train(*run, "optimizer.lr=1e-3,1e30,2e-3,2e30,3e-3", cwd=tmp_path, PYTHONPATH=_path())
    assert "job 1  error: val/loss is nan" in done.stdout, done.stderr
    lines = (tmp_path / "leftovers.txt").read_text().splitlines()
    assert len(lines) == 5
    assert set(lines) == {lines[0]}
    assert lines[0].startswith("1 ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_between_the_trainings_of_a_sweep_ends_it(tmp_path, text_file, number):
    long = tmp_path / "long.txt"
    long.write_text(text_file.read_text() * 200)
    run = ("-m", *TINY, f"data.path={text_file},{long},{text_file}", "trainer.max_steps=1", "hydra.sweep.dir=sweep")
    with start_lai_train(*run, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as program:
        for job in (0, 1):
            while "building a vocabulary" not in (line := program.stdout.readline()):
                assert line, f"job {job} has built no vocabulary"
        program.send_signal(number)
        program.stdout.read()
        program.wait(timeout=120)
    assert program.returncode in (-number, 128 + number)
    assert not (tmp_path / "sweep" / "2").exists()


def _path():
    """For a program that is to find this module's callbacks."""
    tests = Path(__file__).parents[1]
    return os.pathsep.join(filter(None, (str(tests.parent), str(tests), os.environ.get("PYTHONPATH"))))
