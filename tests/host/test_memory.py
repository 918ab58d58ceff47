"""The memory that is still free, and what does not fit into it."""

from pathlib import Path

import pytest
from processes import python

from lai.host import memory
from lai.host.errors import UserError


def test_what_needs_more_than_is_free_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 2e9)
    memory.check_memory(2e9, "the model")
    with pytest.raises(UserError, match=r"^the model needs 3.0 GB of memory; 2.0 GB are free$"):
        memory.check_memory(3e9, "the model")
    monkeypatch.setattr(memory, "free_memory", lambda: None)
    memory.check_memory(1e18, "the model")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells how much is in use")
def test_a_limit_of_the_address_space_counts() -> None:
    program = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
from lai.host.memory import free_memory
print(free_memory())
"""
    free = float(python("-c", program).stdout)
    assert 0 < free < 1 << 30


def test_limits_of_control_groups_count_also_those_above(tmp_path: Path) -> None:
    own = tmp_path / "cgroup"

    def group(folder: Path, **files: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name.replace("__", ".")).write_text(text)

    second = tmp_path / "2"
    own.write_text("0::/job/step\n")
    group(second / "job", memory__max="1000\n", memory__current="700\n", memory__stat="anon 1\ninactive_file 50\n")
    group(second / "job" / "step", memory__max="max\n", memory__current="600\n", memory__stat="inactive_file 5\n")
    assert memory._of_cgroups(own, second) == [350]
    first = tmp_path / "1"
    own.write_text("5:cpu,cpuacct:/a\n4:memory:/docker/x\n0::/\n")
    group(  # in a container: the path is that of the host
        first / "memory",
        memory__limit_in_bytes="500\n", memory__usage_in_bytes="480\n", memory__stat="total_inactive_file 80\n",
    )  # fmt: skip
    assert memory._of_cgroups(own, first) == [100]
    (first / "memory" / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert memory._of_cgroups(own, first) == memory._of_cgroups(tmp_path / "none", first) == []


def test_free_memory_of_the_machine_includes_swap(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:  2000 kB\nSwapFree: 500 kB\nHugePages: 0\n")
    assert memory._of_machine(tmp_path / "meminfo") == 2500 * 1024
    free = memory.free_memory()
    assert free is not None and 1e6 < free < 1e15
