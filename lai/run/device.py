"""The device of a run: whether this machine has it, how it multiplies float32, and the threads of the CPU."""

import os

import torch

from lai.config.schema import RunConfig
from lai.host.errors import UserError
from lai.run.compile import check_compiling

_THREADS = torch.get_num_threads()


def prepare_device(run: RunConfig) -> None:
    """Refuse a device or a way of using it that this machine does not have, and set the precision of float32 products.

    Raises:
        UserError: there is no such accelerator, or no compiler where `device.compile=true` asks for one.
    """
    _check_accelerator(run.trainer["accelerator"])
    if run.device.compile is True and run.device.name == "cpu":
        check_compiling()
    if torch.cuda.is_available():  # nowhere else does it matter, and some versions of PyTorch warn when it is set
        torch.set_float32_matmul_precision("high" if run.device.tf32 else "highest")


def _check_accelerator(name: str) -> None:
    missing = {
        "cuda": not torch.cuda.is_available(),
        "gpu": not (torch.cuda.is_available() or torch.backends.mps.is_available()),
        "mps": not torch.backends.mps.is_available(),
    }
    if missing.get(name, False):
        raise UserError(
            f"trainer.accelerator={name}, but PyTorch finds no such device here; use trainer.accelerator=cpu "
            "or leave it out"
        )


def set_threads(threads: int | None, processes: int) -> None:
    """Set the CPU threads of each of a run's processes; Lightning does not know what the user asks for.

    Args:
        threads: of each process; None shares PyTorch's own number among them.
        processes: on this machine.
    """
    share = _THREADS if "OMP_NUM_THREADS" in os.environ else max(1, _THREADS // processes)
    torch.set_num_threads(threads or share)  # an earlier job of a sweep may have set another number
    if processes > 1:
        os.environ["OMP_NUM_THREADS"] = str(threads or share)  # for those that Lightning starts; it leaves this alone
