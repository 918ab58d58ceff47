"""Kills runs with SIGKILL at random moments, starts them again, and compares what they export with an undisturbed run.

    python benchmarks/kills.py --times 20 [--moments validation export] [--seed 0] [--folder FOLDER]

Every run is a copy of this process, which has imported PyTorch once. A moment is a random delay in the N-th call of one
function. A killed run is started again by the same command (resume=auto) until it ends; its model file must then be
equal, byte by byte, to that of the run that nobody has disturbed.
"""

import argparse
import importlib
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lai.callbacks.drop_state
import lai.callbacks.export
import lai.data.prepare
import lai.model.module
import lai.run.build
import lai.run.checkpoint_io
import lai.train

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from runs import TINY, content_of, example_lines  # noqa: E402

COMMON = [
    *TINY, "trainer.max_epochs=2", "trainer.val_check_interval=11", "trainer.accumulate_grad_batches=2",
    "checkpoint.minutes=0.0005", "device.threads=1", "data.path=text.txt", "resume=auto",
]  # fmt: skip


@dataclass(frozen=True)
class Moment:
    """When a run is killed: within `seconds` of a random one of the first `calls` of `function` in `place`."""

    place: str
    function: str
    calls: int
    seconds: float
    victim: str = "run"
    overrides: tuple[str, ...] = ()
    own_cache: bool = False


MODULE = "lai.model.module:LanguageModel"
MOMENTS = {
    "preparing data": Moment("lai.data.prepare", "prepare_corpus", 1, 0.3, own_cache=True),
    "first step": Moment(MODULE, "training_step", 1, 0.03),
    "mid-accumulation": Moment(MODULE, "training_step", 44, 0.02),
    "validation": Moment(MODULE, "validation_step", 8, 0.01),
    "writing a checkpoint": Moment("lai.run.checkpoint_io:AtomicCheckpointIO", "save_checkpoint", 10, 0.01),
    "export": Moment("lai.callbacks.export", "export_model", 1, 0.03),
    "dropping the state": Moment("lai.callbacks.drop_state", "drop_optimizer_state", 1, 0.01),
    "a worker": Moment(MODULE, "training_step", 40, 0.02, "worker", ("device.num_workers=1",)),
    "one of two ranks": Moment(
        MODULE, "training_step", 20, 0.03, "rank", ("trainer.devices=2", "trainer.strategy=ddp", "trainer.max_epochs=3")
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--moments", nargs="+", choices=MOMENTS, default=[*MOMENTS])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="lai-kills-"))
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    Path("text.txt").write_text("\n".join(example_lines(300)) + "\n", encoding="utf-8")
    failed = 0
    for name in arguments.moments:
        failed += _try_moment(name, MOMENTS[name], arguments.times, random.Random(arguments.seed))
    return 1 if failed else 0


def _try_moment(name: str, moment: Moment, times: int, chance: random.Random) -> int:
    """Print a row of the table; gives the number of runs that ended in other weights, or not at all."""
    expected = _finish("whole", moment)
    if expected is None:
        sys.exit(f"the undisturbed run fails; {Path('screen.txt').resolve()} says why")
    equal = killed = 0
    for number in range(times):
        shutil.rmtree("killed", ignore_errors=True)
        for path in (Path("killed.bin"), *Path().glob(".killed*")):
            path.unlink(missing_ok=True)
        if moment.own_cache:
            shutil.rmtree("cache-killed", ignore_errors=True)
        kill = _killer(moment, chance.randint(1, moment.calls), chance.uniform(0, moment.seconds))
        status = _start("killed", moment, kill)
        killed += status != 0
        found = _finish("killed", moment)
        equal += found == expected
        if found != expected:
            print(f"{name}: number {number} differs", flush=True)
    print(f"| {name} | {times} | {killed} ended by it | {equal} equal |", flush=True)
    shutil.rmtree("whole")
    Path("whole.bin").unlink()
    return times - equal


def _finish(folder: str, moment: Moment) -> bytes | None:
    """The model file of a run that is started until it ends; None where it does not."""
    for _ in range(3):
        if _start(folder, moment, None) == 0:
            return content_of(Path(f"{folder}.bin"))
        time.sleep(1)  # the other rank of a killed one takes a moment to end
    return None


def _start(folder: str, moment: Moment, kill: Callable[[], None] | None) -> int:
    """Run the command in a copy of this process; gives its status."""
    cache = "cache-killed" if moment.own_cache and folder == "killed" else "cache"
    own = [f"hydra.run.dir={folder}", f"export.path={folder}.bin", f"data.cache_dir={cache}"]
    child = os.fork()
    if child == 0:
        _become([*COMMON, *moment.overrides, *own], kill)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _become(overrides: Sequence[str], kill: Callable[[], None] | None) -> None:
    status = 1
    try:
        log = os.open("screen.txt", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.argv = [str(ROOT / "lai" / "train.py"), *overrides]
        signal.alarm(180)
        if kill is not None:
            kill()
        lai.train.main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        os._exit(status)


def _killer(moment: Moment, call: int, delay: float) -> Callable[[], None]:
    """What makes a process kill itself, or one of its own, so many seconds after this call of the moment's function."""

    def install() -> None:
        module, _, kind = moment.place.partition(":")
        owner: Any = importlib.import_module(module)
        owner = getattr(owner, kind) if kind else owner
        original, left = getattr(owner, moment.function), [call]

        def wrapped(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                threading.Timer(delay, _kill, [moment.victim]).start()
            return original(*arguments, **named)

        setattr(owner, moment.function, wrapped)

    return install


def _kill(victim: str) -> None:
    if victim == "worker":
        for process in multiprocessing.active_children()[:1]:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
        return
    if victim == "rank" and os.getpid() % 2:  # the other one, which this one has started
        ranks = [
            int(line.split()[0]) for line in os.popen(f"ps -o pid=,args= --ppid {os.getpid()}") if "train.py" in line
        ]
        for rank in ranks[:1]:
            os.kill(rank, signal.SIGKILL)
        return
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
