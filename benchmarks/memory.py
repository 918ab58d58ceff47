"""The memory of a process."""

from pathlib import Path


def resident_mb(pid: int) -> float:
    """The peak resident memory of a process, in MB; 0 unless the system is Linux."""
    try:
        lines = [
            line
            for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
            if line.startswith("VmHWM")
        ]
    except OSError:
        return 0.0
    return int(lines[0].split()[1]) * 1024 / 1e6 if lines else 0.0
