"""How much memory this machine still has, and whether something fits into it."""

import os
import sys
from pathlib import Path

from lai.host.errors import UserError

_UNLIMITED = 1 << 60  # cgroups write about 2^63 for no limit


def check_memory(size: float, what: str) -> None:
    """Refuse what needs more memory than is free, before memory is taken.

    Args:
        size: the bytes that are needed.
        what: what needs them, the subject of the message.

    Raises:
        UserError: they are not free.
    """
    free = free_memory()
    if free is not None and size > free:
        raise UserError(f"{what} needs {size / 1e9:,.1f} GB of memory; {free / 1e9:,.1f} GB are free")


def free_memory() -> float | None:
    """The bytes that a program can still allocate, swap included; None where the system does not tell."""
    found = [
        limit
        for limit in (
            _of_machine(),
            _of_address_space(),
            *_of_cgroups(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")),
        )
        if limit is not None
    ]
    return min(found) if found else None


def _of_address_space(file: Path = Path("/proc/self/statm")) -> float | None:
    """What `ulimit -v` leaves."""
    if sys.platform == "win32":
        return None
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        used = int(file.read_text(encoding="utf-8").split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        used = 0
    return float(max(0, limit - used))


def _of_machine(file: Path = Path("/proc/meminfo")) -> float | None:
    try:
        rows = dict(line.split(":", 1) for line in file.read_text(encoding="utf-8").splitlines())
        return 1024.0 * sum(int(rows[name].split()[0]) for name in ("MemAvailable", "SwapFree"))
    except (OSError, ValueError, KeyError):
        pass
    if sys.platform == "win32":
        return None
    try:  # all of the memory: more is never free
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError):
        return None


def _of_cgroups(own: Path, root: Path) -> list[float]:
    """The bytes that the control groups of this process and those above them leave, of both versions of cgroups."""
    try:
        rows = [line.split(":", 2) for line in own.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return []
    found: list[float] = []
    for _, controllers, path in rows:
        if controllers == "":
            folder, names = root, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            folder, names = root / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        group = folder / path.lstrip("/")
        # In a container the path is the host's, and the group's own files are at the root.
        for one in (group, *group.parents):
            if one.is_relative_to(folder):
                found += _left_in(one, *names)
    return found


def _left_in(folder: Path, limit: str, usage: str, reclaimable: str) -> list[float]:
    try:
        most = int((folder / limit).read_text(encoding="utf-8"))
        used = int((folder / usage).read_text(encoding="utf-8"))
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError):  # no such group, or "max"
        return []
    if most >= _UNLIMITED:
        return []
    return [float(max(0, most - used + int(statistics.get(reclaimable, 0))))]
