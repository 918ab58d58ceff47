"""Which process did something, and whether it still runs: its number alone is used again by others."""

import os
import platform
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process of some machine.

    Attributes:
        born: when it started, in words that only the same machine compares; after `/` stands the time, before it what
            its number is counted in (this start of the machine, this container).
    """

    pid: int
    born: str
    host: str

    @classmethod
    def this(cls) -> "Process":
        """The process that asks."""
        return cls(os.getpid(), _born(os.getpid()) or "", platform.node())

    def is_alive(self) -> bool | None:
        """Whether it still runs; None where that cannot be told from here: it is another machine's or container's."""
        if self.host != platform.node() or self.born.rpartition("/")[0] != _space():
            return None
        return _born(self.pid) == self.born


def _space() -> str:
    """What process numbers are counted in: this start of the machine, and the container."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    return ""


def _born(pid: int) -> str | None:
    """When a process started; None where there is none of this number, or where it has ended and is not forgotten."""
    if Path("/proc/self/stat").is_file():
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()  # its name may have blanks
        except OSError:
            return None
        return None if fields[0] in (b"Z", b"X") else f"{_space()}/{int(fields[19])}"
    if sys.platform == "win32":
        return _born_on_windows(pid)
    asked = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False, env={"LC_ALL": "C"}
    )
    return f"/{asked.stdout.strip()}" if asked.stdout.strip() else None


def _born_on_windows(pid: int) -> str | None:
    if sys.platform != "win32":
        return None
    import ctypes

    kernel, times = ctypes.windll.kernel32, [ctypes.c_ulonglong() for _ in range(4)]
    handle = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
    if not handle:
        return None
    try:
        kernel.GetProcessTimes(handle, *(ctypes.byref(time) for time in times))
    finally:
        kernel.CloseHandle(handle)
    return None if times[1].value else f"/{times[0].value}"  # the second is when it ended
