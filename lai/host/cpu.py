"""What this machine's CPU can do, and settings of the system's libraries that make training on it faster."""

import ctypes
import os
import platform
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")
_STATUS = Path("/proc/self/status")
_TRIAL = "import torch; a = torch.ones(64, 64, dtype=torch.bfloat16); print(float((a @ a)[0, 0]))"


@cache
def multiplies_bf16() -> bool:
    """Whether Linux says that the CPU has instructions for products of bfloat16, and they work.

    Some virtual machines announce AMX and stop a program at its first AMX instruction. Where it is announced, a child
    process tries it, which takes two seconds.
    """
    flags = _flags()
    if "amx_bf16" in flags:
        return _trial_works()
    return "avx512_bf16" in flags


def cpu_name() -> str:
    """The CPU's name as the system tells it, such as `AMD EPYC 7B13`; its architecture where it tells none."""
    if sys.platform == "darwin":
        answer = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, encoding="utf-8")
        return answer.stdout.strip() or platform.machine()
    return _cpu_info("model name") or platform.processor() or platform.machine()


def _flags() -> set[str]:
    return set(_cpu_info("flags").split())


def _cpu_info(name: str) -> str:
    """What Linux says of the first CPU under this name; empty where it says nothing."""
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2] for line in lines if line.startswith(name)), "").strip()


def _trial_works() -> bool:
    answer = subprocess.run([sys.executable, "-c", _TRIAL], capture_output=True, encoding="utf-8")
    return answer.returncode == 0 and answer.stdout.strip() == "64.0"


def peak_memory() -> int | None:
    """The peak memory of this process so far, in bytes; None where the system does not tell (Windows).

    Linux tells it in /proc/self/status. There, getrusage(2) also counts the program that started this one: its
    `ru_maxrss` holds what the process had before exec(2).
    """
    if sys.platform == "win32":
        return None
    if found := re.search(rb"^VmHWM:\s*(\d+) kB", _STATUS.read_bytes() if _STATUS.exists() else b"", re.MULTILINE):
        return 1024 * int(found[1])
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # in bytes on macOS, in kilobytes elsewhere


def wait_briefly() -> None:
    """Let waiting threads sleep after microseconds instead of milliseconds; call this before PyTorch is imported.

    GNU's OpenMP, which PyTorch uses on Linux, otherwise keeps a core busy while it waits for a thread whose core
    another program uses. It reads the environment once, when PyTorch is imported. What the user has set there stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "3000")


def keep_freed_memory() -> None:
    """Keep the memory that a training step frees for the next step instead of returning it to the system.

    GNU's C library otherwise returns most of it after each step, and the system clears it page by page for the next
    step: 10,000 to 20,000 pages a step of `tiny`. What the user has set in the environment stays.
    """
    own = {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"}
    if os.name != "posix" or own & os.environ.keys():
        return
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is None:  # another C library
        return
    trim_threshold, mmap_threshold = -1, -3  # of mallopt(3)
    set_option(mmap_threshold, 32 << 20)  # the highest that the library sets by itself
    set_option(trim_threshold, 2**31 - 1)
