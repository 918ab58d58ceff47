"""Runs of several processes: who starts them, and that they train one model, whose loss is that of all."""

import os
import subprocess

import pytest
from processes import lai_train, python, start_lai_train
from runs import TINY, rows_of

from lai.host.errors import UserError
from lai.run.launch import Launcher, find_launcher, is_first_process
from lai.train import train

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4", "GROUP_WORLD_SIZE": "2"}
SRUN = {  # as Slurm 22.05 tells the tasks of `srun --nodes=2 --ntasks-per-node=4`
    "SLURM_JOB_NAME": "python",
    "SLURM_NTASKS": "8",
    "SLURM_NNODES": "2",
    "SLURM_NTASKS_PER_NODE": "4",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_STEP_NUM_NODES": "2",
}
ONE_TASK = {
    name: "0" if name.endswith("ID") else "1" for name in (*SRUN, "SLURM_NODEID", "SLURM_PROCID", "SLURM_LOCALID")
}
ALLOCATION = {"SLURM_JOB_NAME": "interactive", "SLURM_NTASKS": "8", "SLURM_NNODES": "2"}  # as `salloc` gives its shell


def tell(monkeypatch, environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        (TORCHRUN, Launcher("torchrun", 4, 2)),
        (SRUN, Launcher("srun", 4, 2)),
        ({name: value for name, value in SRUN.items() if name != "SLURM_NTASKS_PER_NODE"}, Launcher("srun", 4, 2)),
        (SRUN | TORCHRUN, Launcher("torchrun", 4, 2)),
        # One task of a larger allocation.
        (SRUN | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_NUM_NODES": "1"}, Launcher("srun", 1, 1)),
        (ONE_TASK, Launcher("srun", 1, 1)),
        (ONE_TASK | {"SLURM_JOB_NAME": "bash"}, None),  # `srun --pty bash`
        (ALLOCATION, None),
        ({"SLURM_JOB_NAME": "job.sh", "SLURM_NTASKS": "1", "SLURM_NNODES": "1"}, Launcher("srun", 1, 1)),  # sbatch
        ({"OMPI_COMM_WORLD_SIZE": "1"}, None),
    ],
)
def test_launcher_is_found_from_the_environment(monkeypatch, environment, expected):
    tell(monkeypatch, environment)
    assert find_launcher() == expected


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        (TORCHRUN | {"WORLD_SIZE": "6"}, "each machine needs the same number"),
        (SRUN | {"SLURM_STEP_NUM_TASKS": "7"}, "each machine needs the same number"),
        (SRUN | {"SLURM_JOB_NAME": "interactive"}, "srun --job-name=train"),
        ({"SLURM_JOB_NAME": "job.sh", "SLURM_NTASKS": "2", "SLURM_NNODES": "1"}, "start it with srun"),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "start them with torchrun or srun"),
        ({"PMI_SIZE": "2"}, "start them with torchrun or srun"),
        (TORCHRUN | {"WORLD_SIZE": "two"}, "WORLD_SIZE=two"),
    ],
)
def test_processes_that_cannot_become_one_run_are_refused(monkeypatch, environment, words):
    tell(monkeypatch, environment)
    with pytest.raises(UserError, match=words) as raised:
        find_launcher()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("environment", "first"),
    [
        ({}, True),
        ({"RANK": "2", "LOCAL_RANK": "0"}, False),
        ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, False),
        ({"SLURM_PROCID": "1"}, False),
        ({"SLURM_PROCID": "0"}, True),
    ],
)
def test_only_rank_0_is_the_first_process(monkeypatch, environment, first):
    tell(monkeypatch, environment)
    assert is_first_process() is first


@pytest.mark.parametrize(
    ("environment", "settings", "words"),
    [
        ({}, ["trainer.strategy=ddp_spawn", "trainer.devices=2"], "use trainer.strategy=ddp"),
        ({}, ["trainer.strategy=ddp_fork", "trainer.devices=2"], "use trainer.strategy=ddp"),
        ({}, ["trainer.strategy=ddp_notebook"], "use trainer.strategy=ddp"),
        ({"WORLD_SIZE": "2"}, [], "WORLD_SIZE is 2, but this run has 1 process"),
        (TORCHRUN, ["trainer.devices=3"], "trainer.devices is 3, but torchrun has started 4 processes on 2 machines"),
        (TORCHRUN, ["+trainer.num_nodes=3"], "trainer.num_nodes is 3, but torchrun has started 4 processes"),
        (ONE_TASK, ["trainer.devices=2"], "trainer.devices is 2, but srun has started 1 process on 1 machine; leave"),
    ],
)
def test_number_of_processes_must_match_the_launcher(
    tmp_path, compose_run, text_file, monkeypatch, environment, settings, words
):
    tell(monkeypatch, environment | ({"RANK": "0", "LOCAL_RANK": "0"} if environment is TORCHRUN else {}))
    with pytest.raises(UserError, match=words) as raised:
        train(compose_run(f"data.path={text_file}", *settings))
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "cache").exists()  # before any data were made


def test_srun_on_the_path_changes_nothing(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "srun").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "srun").chmod(0o755)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = lai_train("data.path=nowhere.txt", "trainer.accelerator=cpu", cwd=tmp_path, PATH=path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: nowhere.txt") and done.stderr.count("\n") == 1


@pytest.fixture
def still(tmp_path, text_file):
    """Settings of runs whose weights stay as they are, so that a batch's loss is the same in each of them."""
    return [
        f"data.path={text_file}",
        f"data.cache_dir={tmp_path / 'cache'}",
        "data.batch_size=1",
        "optimizer.lr=1e-9",
        "optimizer.embedding_lr=1e-9",
        "trainer.precision=32-true",
        "trainer.log_every_n_steps=1",
    ]


@pytest.fixture
def pairs(tmp_path, compose_run, still):
    """The mean losses of the first two batches of one row each, and of the next two."""
    train(compose_run(*still, f"output_dir={tmp_path / 'single'}", "trainer.max_steps=4"))
    losses = [loss for _, loss in rows_of(tmp_path / "single", "train/loss")]
    return [sum(losses[:2]) / 2, sum(losses[2:]) / 2]


def test_the_loss_of_a_step_is_that_of_all_its_batches(tmp_path, compose_run, still, pairs):
    train(compose_run(*still, "trainer.accumulate_grad_batches=2", "trainer.max_steps=2"))
    assert [loss for _, loss in rows_of(tmp_path / "run", "train/loss")] == pytest.approx(pairs, rel=1e-6)


@pytest.mark.heavy
def test_the_processes_of_torchrun_and_srun_train_one_model(tmp_path, still, pairs):
    halves = [*TINY, *still, "trainer.max_steps=2"]
    torchrun = tmp_path / "torchrun"
    torchrun.mkdir()
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    done = python(*launcher, "-m", "lai.train", *halves, cwd=torchrun)
    assert done.returncode == 0, done.stderr
    check_run(torchrun, pairs)

    srun = tmp_path / "srun"
    srun.mkdir()
    numbers = {"SLURM_JOB_ID": str(10_000 + os.getpid() % 10_000), "SLURM_NODELIST": "127.0.0.1"}
    told = ONE_TASK | numbers | {"SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "2", "SLURM_JOB_NAME": "python"}
    tasks = [
        start_lai_train(
            *halves,
            cwd=srun,
            environment=told | {"SLURM_PROCID": rank, "SLURM_LOCALID": rank},
            stdout=subprocess.DEVNULL,
        )
        for rank in ("0", "1")
    ]
    assert [task.wait(timeout=300) for task in tasks] == [0, 0]
    check_run(srun, pairs)


def check_run(folder, losses):
    """One run, one model, and the losses of both processes' batches."""
    (run,) = folder.glob("outputs/*-*-*/*-*-*")
    assert [path.name for path in (folder / "models").glob("[!.]*")] == ["lai-tiny.bin"]
    assert not list(run.glob("*.bin"))
    assert [loss for _, loss in rows_of(run, "train/loss")] == pytest.approx(losses, rel=1e-5)
