"""Whole sweeps of toy runs: what they refuse, what they go on with, and what they tell."""

import csv
import re
import shutil
from pathlib import Path

import pytest
from processes import lai_train
from runs import content_of

from lai.sweep.ledger import Job, Ledger
from lai.sweep.running import Sweep


def rows(sweeps, folder):
    with (sweeps.folder / folder / "sweep.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def jobs(sweeps, folder):
    return Ledger(sweeps.folder / folder / "sweep.db").jobs()


def test_a_wrong_value_in_one_job_is_told_before_any_starts(sweeps):
    status, output = sweeps.run("optimizer.lr=1e-3,-1", "hydra.sweep.dir=wrong")
    assert (status, output) == (2, "error: job 1 (optimizer.lr=-1): optimizer.lr is -1.0; it must be more than 0\n")
    status, output = sweeps.run("model.n_heads=2,3", "hydra.sweep.dir=wrong")
    assert status == 2 and output.startswith("error: job 1 (model.n_heads=3): "), output
    assert output.count("\n") == 1
    assert not [path for path in (sweeps.folder / "wrong").glob("*") if path.name != "multirun.yaml"]
    status, output = sweeps.run("optimizer.lr=1e-3", "hydra.sweep.dir=wrong")  # the folder is free for the right one
    assert status == 0, output


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["export.path=one.bin"], "jobs 0 and 1 have one export.path, {folder}/one.bin; leave it out, or put "),
        (["export.path=a.bin,./a.bin"], "jobs 0 and 1 have one export.path, {folder}/a.bin; "),
        (["hydra.sweep.subdir=x"], "jobs 0 and 1 have one folder, {folder}/shared/x; leave hydra.sweep.subdir out"),
    ],
)
def test_jobs_with_one_file_are_refused_before_any_starts(sweeps, overrides, line):
    status, output = sweeps.run("seed=1,2", "hydra.sweep.dir=shared", *overrides)
    assert status == 2
    assert output.startswith("error: " + line.format(folder=sweeps.folder)) and output.count("\n") == 1, output
    assert not (sweeps.folder / "one.bin").exists() and not (sweeps.folder / "shared" / "sweep.db").exists()


def test_jobs_that_put_their_number_into_the_path_or_change_into_their_folder_share_nothing(sweeps):
    status, output = sweeps.run("seed=1,2", "export.path=job${hydra:job.num}.bin", "hydra.sweep.dir=numbered")
    assert status == 0, output
    assert content_of(sweeps.folder / "job0.bin") != content_of(sweeps.folder / "job1.bin")
    own = ("export.path=own.bin", "hydra.job.chdir=true", f"data.path={sweeps.folder}/text.txt")
    status, output = sweeps.run("seed=1,2", *own, "hydra.sweep.dir=changed")
    assert status == 0, output
    assert (sweeps.folder / "changed/0/own.bin").is_file() and (sweeps.folder / "changed/1/own.bin").is_file()


def test_a_job_that_fails_is_a_row_and_the_others_go_on(sweeps):
    status, output = sweeps.run("optimizer.lr=1e30,1e-3", "seed=1,2", "hydra.sweep.dir=failing")
    line = "val/loss is nan at step 2: training diverged; start again with a lower optimizer.lr"
    assert status == 2
    for number in (0, 1):
        assert f"job {number}  error: {line}\n" in output
        assert f"failed      job {number}: {line}\n" in output
        assert f"error: {line}\n" in (sweeps.folder / f"failing/{number}/train.log").read_text()
    assert [row["state"] for row in rows(sweeps, "failing")] == ["failed", "failed", "done", "done"]
    assert re.search(r"1  5\.\d{4} ± 0\.\d{4}  2\.\d{4} ± 0\.\d{4}  2/2   2-3   optimizer\.lr=0\.001\n", output), output
    assert "Traceback" not in output
    # Nothing is left to do: no job is done again, and the failed ones only on request.
    before = jobs(sweeps, "failing")
    status, output = sweeps.bare("-m", "sweep.resume=failing")
    assert (status, jobs(sweeps, "failing")) == (2, before), output
    assert "data        " not in output
    status, output = sweeps.bare("-m", "sweep.resume=failing", "sweep.retry_failed=true", "sweep.max_failures=1")
    assert status == 2
    after = jobs(sweeps, "failing")
    assert [job.attempts for job in after] == [2, 1, 1, 1]
    assert [job.state for job in after] == ["failed", "interrupted", "done", "done"]
    assert after[2:] == before[2:]


def test_an_error_of_other_software_is_a_row_with_its_line(sweeps):
    callback = "+callbacks.a={_target_:toy_callbacks.FailAt,batch:1}"
    status, output = sweeps.run("seed=1,2", callback, "hydra.sweep.dir=software", "sweep.max_failures=1")
    assert status == 2
    assert [row["state"] for row in rows(sweeps, "software")] == ["failed", "waiting"]
    assert len(rows(sweeps, "software")[0]["error"].splitlines()) == 1
    assert "Traceback" not in output


def test_another_sweep_in_the_folder_is_refused_and_changes_nothing(sweeps):
    status, output = sweeps.run("optimizer.lr=1e-3,2e-3", "hydra.sweep.dir=kept")
    assert status == 0, output
    folder = sweeps.folder / "kept"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    status, output = sweeps.run("optimizer.lr=1e-3,3e-3", "hydra.sweep.dir=kept")
    assert status == 2
    assert output.startswith(
        f"error: {folder} holds another sweep: optimizer.lr=1e-3,2e-3 there, optimizer.lr=1e-3,3e-3 here; "
    )
    assert output.count("\n") == 1
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_of_runs_without_a_ledger_is_refused(sweeps):
    status, output = sweeps.run("seed=1,2", "hydra.sweep.dir=old")
    assert status == 0, output
    (sweeps.folder / "old/sweep.db").unlink()
    status, output = sweeps.run("seed=1,2", "hydra.sweep.dir=old")
    assert status == 2 and "error: job 0 (seed=1): " in output and "holds another run's" in output, output


def test_the_command_of_the_best_job_repeats_it(sweeps):
    status, output = sweeps.run("optimizer.lr=1e-3,3e-3", "hydra.sweep.dir=again")
    assert status == 0, output
    command = re.search(r"^best .*\n +python -m lai\.train (.*)$", output, re.MULTILINE)[1]
    status, output = sweeps.bare(*command.split(), "hydra.run.dir=single", "export.path=single.bin")
    assert status == 0, output
    assert content_of(sweeps.folder / "single.bin") == content_of(sweeps.folder / "again/1/lai-tiny.bin")


def test_a_missing_metric_is_an_empty_cell(sweeps):
    status, output = sweeps.run("seed=1,2", "trainer.limit_val_batches=0", "hydra.sweep.dir=unmeasured")
    assert status == 0, output
    assert "best " not in output
    assert [row["state"] for row in rows(sweeps, "unmeasured")] == ["done", "done"]


def test_jobs_may_be_compared_by_another_metric(sweeps):
    status, output = sweeps.run("seed=1,2", "sweep.metric=val/bpb", "hydra.sweep.dir=other")
    assert status == 0, output
    assert re.search(r"best        job \d, val/bpb \d", output), output


def test_the_report_tells_what_the_sweep_told(sweeps):
    status, output = sweeps.run("seed=1,2", "hydra.sweep.dir=reported")
    assert status == 0, output
    (sweeps.folder / "reported/sweep.csv").unlink()
    status, report = sweeps.report("reported")
    assert status == 0 and output.endswith(report), report
    assert len(rows(sweeps, "reported")) == 2


@pytest.mark.heavy
def test_ctrl_c_ends_a_sweep_with_its_table_and_the_same_command_resumes_it_bit_exactly(sweeps):
    space = ("optimizer.lr=1e-3,2e-3,3e-3", "trainer.max_steps=6", "checkpoint.minutes=0.0005")
    status, output = sweeps.run(*space, "hydra.sweep.dir=whole")
    assert status == 0, output
    stop = "+callbacks.end={_target_:toy_callbacks.SignalInStep,batch:3,number:2}"
    status, output = sweeps.run(*space, "hydra.sweep.dir=stopped", stop)
    assert status == 130, output
    assert "to do       jobs 0-2: python -m lai.train -m sweep.resume=stopped\n" in output
    assert [job.state for job in jobs(sweeps, "stopped")] == ["interrupted", "waiting", "waiting"]
    for _ in range(6):  # each start is stopped in its third batch; behind a job's last step, before its validation
        status, output = sweeps.bare("-m", "sweep.resume=stopped")
        if status == 0:
            break
    assert status == 0, output
    assert not list((sweeps.folder / "stopped").glob("*-*"))
    for number in range(3):
        models = [sweeps.folder / folder / str(number) / "lai-tiny.bin" for folder in ("whole", "stopped")]
        assert content_of(models[0]) == content_of(models[1])
    assert [job.result["metrics"] for job in jobs(sweeps, "whole")] == [
        job.result["metrics"] for job in jobs(sweeps, "stopped")
    ]


def test_a_job_without_a_checkpoint_to_resume_starts_again_beside_what_it_left(sweeps):
    space = ("seed=1,2", "checkpoint.keep=best", "hydra.sweep.dir=best")
    stop = "+callbacks.end={_target_:toy_callbacks.SignalInStep,batch:1,number:2}"
    status, _ = sweeps.run(*space, stop)
    assert status == 130
    left = (sweeps.folder / "best/0/train.log").read_bytes()
    status, output = sweeps.bare("-m", "sweep.resume=best")
    assert status == 130, output
    assert (sweeps.folder / "best/0-1/train.log").read_bytes() == left


def test_a_search_whose_jobs_are_others_now_goes_on_behind_the_last_number(tmp_path):
    """Hydra's Optuna sweeper began at job 0 again, and wrote its best model over."""
    sweep = object.__new__(Sweep)
    sweep.ledger = Ledger(tmp_path / "sweep.db")
    assert sweep.free_number([["lr=1"]], 0) == 0
    sweep.ledger.create({"space": []})
    sweep.ledger.add([Job(number, (f"lr={number}",), tmp_path / str(number)) for number in range(3)])
    assert sweep.free_number([["lr=1"], ["lr=2"], ["lr=3"]], 1) == 1  # the same jobs: they are resumed
    assert sweep.free_number([["lr=7"], ["lr=2"]], 1) == 3
    assert sweep.free_number([["lr=7"]], 3) == 3


def test_a_job_that_was_finished_but_not_noted_is_not_done_again(sweeps):
    status, output = sweeps.run("seed=1,2", "hydra.sweep.dir=noted")
    assert status == 0, output
    ledger, model = Ledger(sweeps.folder / "noted/sweep.db"), sweeps.folder / "noted/1/lai-tiny.bin"
    before, written = ledger.jobs(), model.stat().st_mtime_ns
    ledger.end(1, "interrupted")
    status, output = sweeps.bare("-m", "sweep.resume=noted")
    assert status == 0 and "data        " not in output, output
    assert model.stat().st_mtime_ns == written
    assert ledger.jobs()[1].result == before[1].result


def test_a_sweep_as_a_person_types_it(tmp_path, text_file):
    """In a process of its own, with the folder that Hydra names."""
    shutil.copy(text_file, tmp_path / "mine.txt")
    run = ("model=nano", "data.path=mine.txt", "data.vocab_size=400", "trainer.max_steps=1", "device=cpu")
    done = lai_train("-m", *run, "seed=1,2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = {path.parent for path in tmp_path.glob("outputs/*/*/sweep.db")}
    assert f"sweep       {folder.relative_to(tmp_path)}: 2 jobs: 2 done\n" in done.stdout
    done = lai_train("-m", f"sweep.resume={folder}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [job.attempts for job in Ledger(Path(folder) / "sweep.db").jobs()] == [1, 1]
