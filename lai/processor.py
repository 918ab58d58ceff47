"""What this machine's processor can do, and how long its threads wait for each other."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")
_TRIAL = "import torch; a = torch.ones(64, 64, dtype=torch.bfloat16); print(float((a @ a)[0, 0]))"


@cache
def multiplies_bf16() -> bool:
    """Whether the processor has instructions for products of bfloat16, as Linux tells, and they work.

    Some virtual machines announce AMX and then stop the program at its first instruction, so where it is announced a
    process of its own tries it; that takes two seconds.
    """
    flags = _flags()
    if "amx_bf16" in flags:
        return _trial_works()
    return "avx512_bf16" in flags


def _flags() -> set[str]:
    try:
        lines = _CPU_INFO.read_text().splitlines()
    except OSError:
        return set()
    return set(next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split())


def _trial_works() -> bool:
    answer = subprocess.run([sys.executable, "-c", _TRIAL], capture_output=True, text=True)
    return answer.returncode == 0 and answer.stdout.strip() == "64.0"


def wait_briefly() -> None:
    """Let threads that wait for each other sleep after microseconds instead of milliseconds.

    GNU's OpenMP, which PyTorch has on Linux, otherwise keeps a core busy with waiting for a thread whose core another
    program has. It reads the environment once, when PyTorch is imported; what the user has set there stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "3000")
