"""The processes of a run: what torchrun, srun and MPI tell each of them, and what Lightning does with it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lai.host.errors import UserError

if TYPE_CHECKING:
    import lightning

    from lai.config.schema import RunConfig

_SHELLS = (
    "bash",
    "interactive",
)  # SLURM job names that Lightning takes for a shell, where it starts the processes itself
_OF_MPI = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "JSM_NAMESPACE_SIZE")


@dataclass(frozen=True)
class Launcher:
    """The program that started this process and others like it: `devices` processes on each of `nodes` machines."""

    name: str
    devices: int
    nodes: int

    @property
    def processes(self) -> int:
        return self.devices * self.nodes


def find_launcher() -> Launcher | None:
    """The program that started this process as one of a run's; None where the run starts its own processes.

    Raises:
        UserError: the processes cannot become one run.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return _torchrun()
    if "SLURM_NTASKS" in os.environ:
        return _slurm()
    for name in _OF_MPI:
        if _number(name) > 1:
            raise UserError(
                f"{name} is {_number(name)}: each of these processes would train a model of its own; start them with "
                "torchrun or srun, or start one and set trainer.devices"
            )
    return None


def is_first_process() -> bool:
    """Whether this is the first process of its run, by what Lightning, torchrun and srun tell each of them."""
    names = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
    rank = next((os.environ[name] for name in names if name in os.environ), "0")
    return int(rank) == 0 and _number("NODE_RANK", 0) == 0


def starts_processes() -> bool:
    """Whether Lightning starts the run's other processes, and no other program does."""
    return "LOCAL_RANK" not in os.environ and find_launcher() is None


@contextmanager
def folder_of_process() -> Iterator[list[str]]:
    """Overrides that give a launcher's process a temporary folder of its own; none for the first process.

    Hydra names a run's folder after the second, which need not be the same in all processes.

    Raises:
        UserError: as `find_launcher`.
    """
    if find_launcher() is None or is_first_process():
        yield []
        return
    with tempfile.TemporaryDirectory(prefix="lai-") as folder:
        yield [f"hydra.run.dir={folder}", f"hydra.sweep.dir={folder}"]


def take_from_launcher(run: "RunConfig") -> None:
    """Set the numbers of devices and nodes that the user left out to those of the launcher.

    Raises:
        UserError: as `find_launcher`.
    """
    launcher = find_launcher()
    if launcher is None:
        return
    if run.trainer.get("devices") in (None, "auto"):
        run.trainer["devices"] = launcher.devices
    if run.trainer.get("num_nodes") is None:
        run.trainer["num_nodes"] = launcher.nodes
    if launcher.name == "srun" and launcher.processes > 1:
        # Lightning reads it, and refuses several tasks without it.
        os.environ["SLURM_NTASKS_PER_NODE"] = str(launcher.devices)


def check_processes(trainer: "lightning.Trainer") -> None:
    """Refuse processes that would not train one model together.

    Raises:
        UserError: another program has started other processes than the trainer's, or the trainer would fork or spawn.
    """
    from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher

    if isinstance(trainer.strategy.launcher, _MultiProcessingLauncher):
        raise UserError(
            "trainer.strategy starts processes that cannot hand their results back (spawn, fork or notebook); "
            "use trainer.strategy=ddp"
        )
    launcher = find_launcher()
    if launcher is not None:
        for key, given, started in (
            ("devices", trainer.num_devices, launcher.devices),
            ("num_nodes", trainer.num_nodes, launcher.nodes),
        ):
            if given != started:
                has = f"{_count(launcher.devices, 'process')} on {_count(launcher.nodes, 'machine')}"
                raise UserError(
                    f"trainer.{key} is {given}, but {launcher.name} has started {has}; leave trainer.{key} out, or set "
                    f"it to {started}"
                )
    started = launcher.processes if launcher else _number("WORLD_SIZE")
    if started > 1 and started != trainer.world_size:
        by = f"{launcher.name} has started {started} processes" if launcher else f"WORLD_SIZE is {started}"
        way = "use trainer.strategy=ddp" if launcher else "start them with torchrun or srun, or unset WORLD_SIZE"
        raise UserError(f"{by}, but this run has {_count(trainer.world_size, 'process')}; {way}")


def _torchrun() -> Launcher:
    world, devices, nodes = (_number(name) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE"))
    if devices * nodes != world:
        raise UserError(
            f"torchrun has started {world} processes on {nodes} machines, {devices} of them here; each machine needs "
            "the same number: --nproc-per-node"
        )
    return Launcher("torchrun", devices, nodes)


def _slurm() -> Launcher | None:
    """What srun has started; None in a shell (`salloc`, `srun --pty bash`), where Lightning starts the processes."""
    is_step = "SLURM_STEP_ID" in os.environ
    tasks = _number("SLURM_STEP_NUM_TASKS" if is_step and "SLURM_STEP_NUM_TASKS" in os.environ else "SLURM_NTASKS")
    nodes = _number("SLURM_STEP_NUM_NODES" if "SLURM_STEP_NUM_NODES" in os.environ else "SLURM_NNODES")
    name = os.environ.get("SLURM_JOB_NAME")
    if name in _SHELLS:
        if is_step and tasks > 1:
            raise UserError(
                f"srun has started {tasks} tasks in a job named {name}, where each would train a model of its own; "
                "give the tasks another name: srun --job-name=train"
            )
        return None
    if not is_step and tasks > 1:
        raise UserError(
            f"this SLURM job has {tasks} tasks, of which this process would wait for the others; start it with srun, "
            "or ask for one task (--ntasks=1 --cpus-per-task=…)"
        )
    if tasks % nodes:
        raise UserError(
            f"srun has started {tasks} tasks on {nodes} machines; each machine needs the same number: --ntasks-per-node"
        )
    return Launcher("srun", tasks // nodes, nodes)


def _count(number: int, noun: str) -> str:
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def _number(name: str, default: int = 1) -> int:
    """A whole number from an environment variable."""
    value = os.environ.get(name, "")
    try:
        return int(value) if value else default
    except ValueError:
        raise UserError(f"the environment has {name}={value}, which is not a whole number") from None
