"""Kills a sweep with SIGKILL at random moments, starts it again by the same command, and compares all of its jobs.

    python benchmarks/sweep_kills.py --times 20 [--jobs 24] [--seed 0] [--folder FOLDER] [--launcher joblib]

Each start is a copy of this process, which has imported PyTorch once, in a process group of its own. The whole group is
killed so many seconds after it has begun its first job, one in six starts before that. With a launcher that has worker
processes, one worker is killed in every other start. When the last start has ended,
every model file must have the bytes of the undisturbed sweep's, but for its manifest, and every metric its value. No
job may have been done twice, and no file written over.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import lai.callbacks.drop_state
import lai.callbacks.export
import lai.data.prepare
import lai.model.module
import lai.run.build
import lai.train
from lai.sweep.ledger import DONE, NAME, Job, Ledger

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from runs import TINY, content_of, example_lines  # noqa: E402

COMMON = [
    *TINY, "trainer.max_epochs=1", "trainer.val_check_interval=11", "trainer.accumulate_grad_batches=2",
    "checkpoint.minutes=0.0005", "device.threads=1", "data.path=text.txt",
]  # fmt: skip
_LONGEST = 600
"""Seconds after which a start is given up."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--launcher", default="basic")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="lai-sweep-kills-"))
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    Path("text.txt").write_text("\n".join(example_lines(300)) + "\n", encoding="utf-8")
    seeds = arguments.jobs // 2
    space = [f"seed=range(0,{seeds})", "optimizer.lr=1e-3,3e-3", f"hydra/launcher={arguments.launcher}"]
    if _start("whole", space) != 0:
        sys.exit(f"the undisturbed sweep fails; {Path('screen.txt').resolve()} says why")
    whole = [job for job, _ in _done("whole").values()]
    duration = max(job.ended or 0 for job in whole) - min(job.started or 0 for job in whole)
    chance, faults, killed = random.Random(arguments.seed), [], 0
    before: dict[int, tuple[Job, int]] = {}
    for number in range(arguments.times):
        left = (1 - len(before) / arguments.jobs) / (arguments.times - number)
        delay = chance.uniform(0, 1.8 * duration * left)
        status = _start(
            "killed",
            space,
            delay,
            in_jobs=number % 6 != 5,
            one_worker=arguments.launcher != "basic" and number % 2 == 1,
        )
        killed += status != 0
        now = _done("killed")
        faults += [f"job {job}: done again at kill {number}" for job in before if now.get(job) != before[job]]
        before = now
        print(f"kill {number}: after {delay:.1f} s, {len(now)} jobs are done", flush=True)
    for _ in range(3):
        status = _start("killed", space)
        if status == 0:
            break
    now = _done("killed")
    faults += [f"job {job}: done again at the end" for job in before if now.get(job) != before[job]]
    faults += [] if status == 0 else ["the sweep does not end"]
    equal, different = _compare(arguments.jobs)
    faults += different
    print("\n".join(faults))
    print(f"| {arguments.jobs} jobs | {killed} kills | {equal} jobs equal | {len(faults)} faults |", flush=True)
    return 1 if faults else 0


def _done(folder: str) -> dict[int, tuple[Job, int]]:
    """The jobs that are done, each with the time at which its model file was written."""
    ledger = Ledger(Path(folder).absolute() / NAME)
    jobs = ledger.jobs() if ledger.exists() else []
    return {job.number: (job, (job.folder / "lai-tiny.bin").stat().st_mtime_ns) for job in jobs if job.state == DONE}


def _compare(count: int) -> tuple[int, list[str]]:
    """How many jobs have the model and the metrics of the undisturbed sweep's; and what differs."""
    results: dict[str, Mapping[int, Mapping[str, float]]] = {
        folder: {number: job.result["metrics"] for number, (job, _) in _done(folder).items()}
        for folder in ("whole", "killed")
    }
    equal, faults = 0, []
    for number in range(count):
        models = [Path(folder) / str(number) / "lai-tiny.bin" for folder in ("whole", "killed")]
        if not models[1].is_file() or content_of(models[0]) != content_of(models[1]):
            faults.append(f"job {number}: another model")
        elif results["whole"][number] != results["killed"].get(number):
            faults.append(f"job {number}: other metrics")
        else:
            equal += 1
    more = {path.name for path in Path("killed").iterdir()} - {path.name for path in Path("whole").iterdir()}
    more |= {str(path) for path in Path("killed").glob("*/*.bin")} - {f"killed/{n}/lai-tiny.bin" for n in range(count)}
    return equal, faults + [f"{name} is left over" for name in sorted(more)]


def _start(
    folder: str, space: list[str], delay: float | None = None, *, in_jobs: bool = True, one_worker: bool = False
) -> int:
    """Run the sweep in a copy of this process, and kill it after a delay; gives its status.

    Args:
        in_jobs: the delay begins when a job of this start runs.
    """
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        _become(["-m", *COMMON, *space, f"hydra.sweep.dir={folder}"])
    end = time.monotonic() + (_LONGEST if delay is None or in_jobs else delay)
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if delay is not None and in_jobs and _workers():
            end, in_jobs = time.monotonic() + delay, False
        time.sleep(0.02)
    victims = [process for process in _workers() if process != child] if one_worker else []
    if victims:
        os.kill(random.choice(victims), signal.SIGKILL)
    else:
        os.killpg(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _workers() -> list[int]:
    """The processes that do jobs of the killed sweep now."""
    ledger = Ledger(Path("killed").absolute() / NAME)
    jobs = ledger.jobs() if ledger.exists() else []
    return [job.process.pid for job in jobs if job.state == "running" and job.process]


def _become(overrides: list[str]) -> None:
    status = 1
    try:
        log = os.open("screen.txt", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.argv = [str(ROOT / "lai" / "train.py"), *overrides]
        signal.alarm(_LONGEST)
        lai.train.main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        os._exit(status)


if __name__ == "__main__":
    sys.exit(main())
