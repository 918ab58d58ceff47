"""Whether a CPU has bfloat16, as Linux tells; how its threads wait; where freed memory stays."""

import os
import platform
import re
import sys

import pytest
from processes import lai_train, python
from runs import composed

from lai.config.load import load_run_config
from lai.host import cpu


@pytest.fixture
def told(tmp_path, monkeypatch):
    """Makes the machine tell these flags."""

    def tell(flags: str) -> None:
        path = tmp_path / "cpuinfo"
        path.write_text(f"processor : 0\nflags\t\t: fpu sse2 {flags}\nbogomips : 1\n\nprocessor : 1\nflags : fpu\n")
        monkeypatch.setattr(cpu, "_CPU_INFO", path)
        cpu.multiplies_bf16.cache_clear()

    yield tell
    cpu.multiplies_bf16.cache_clear()


@pytest.mark.parametrize(("flags", "expected"), [("avx2 avx512f", False), ("avx512f avx512_bf16", True)])
def test_bf16_is_used_only_where_the_cpu_flags_name_it(told, flags, expected):
    told(flags)
    assert cpu.multiplies_bf16() is expected


@pytest.mark.parametrize(
    ("trial", "expected"),
    [("print(64.0)", True), ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", False), ("print(0.0)", False)],
)
def test_amx_is_used_only_where_a_trial_works(told, monkeypatch, trial, expected):
    told("avx512_bf16 amx_bf16 amx_tile")
    monkeypatch.setattr(cpu, "_TRIAL", trial)
    assert cpu.multiplies_bf16() is expected


def test_amx_trial_runs(monkeypatch):
    assert cpu._trial_works()


def test_machine_without_cpuinfo_has_no_bf16(monkeypatch, tmp_path):
    monkeypatch.setattr(cpu, "_CPU_INFO", tmp_path / "missing")
    cpu.multiplies_bf16.cache_clear()
    assert not cpu.multiplies_bf16()


@pytest.mark.parametrize(("flags", "precision"), [("avx512_bf16", "bf16-mixed"), ("avx2", "32-true")])
def test_precision_auto_is_bf16_only_where_the_cpu_has_it(told, flags, precision):
    told(flags)
    run = load_run_config(composed("output_dir=out", "device=cpu"))
    assert (run.device.precision, run.trainer["precision"]) == (precision, precision)
    run = load_run_config(composed("output_dir=out", "device=cpu", "trainer.precision=16-mixed"))
    assert run.trainer["precision"] == "16-mixed"


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "3000"), ({"GOMP_SPINCOUNT": "9"}, "9"), ({"OMP_WAIT_POLICY": "passive"}, None)],
)
def test_threads_wait_briefly_unless_the_user_says_otherwise(monkeypatch, given, expected):
    environment = dict(given)
    monkeypatch.setattr(os, "environ", environment)
    cpu.wait_briefly()
    assert environment.get("GOMP_SPINCOUNT") == expected


def test_training_program_sets_the_wait_time_before_pytorch_is_imported(tmp_path):
    """OpenMP reads the environment once, when PyTorch is imported, and can tell what it read."""
    environment = {"GOMP_SPINCOUNT": None, "OMP_WAIT_POLICY": None, "OMP_DISPLAY_ENV": "verbose"}
    done = lai_train("trainer.max_steps=0", f"hydra.run.dir={tmp_path}", cwd=None, **environment)
    assert "trainer.max_steps is 0" in done.stderr
    found = re.search(r"GOMP_SPINCOUNT = '(\d+)'", done.stderr)
    if found is None:
        pytest.skip("this PyTorch does not use GNU's OpenMP")
    assert found[1] == "3000"


_FREES = """
import sys
from pathlib import Path
import numpy as np
from lai.host.cpu import keep_freed_memory

def pages():
    return int(Path("/proc/self/statm").read_text().split()[1])

if sys.argv[1:]:
    keep_freed_memory()
blocks = [np.ones(3 << 20, dtype=np.uint8) for _ in range(10)]
before = pages()
del blocks
print((before - pages()) / before)
"""


def _share_given_back(*arguments: str, **environment: str) -> float:
    """Of the memory of a process of its own, when it frees the 30 MB that are most of it."""
    without = {name: None for name in os.environ if name.startswith(("MALLOC_", "GLIBC_"))}
    return float(python("-c", _FREES, *arguments, **(without | environment)).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only GNU's C library can be told")
def test_freed_memory_is_kept_unless_the_user_says_otherwise():
    assert _share_given_back("keep") < 0.05
    assert _share_given_back() > 0.3
    assert _share_given_back("keep", MALLOC_TRIM_THRESHOLD_="0") > 0.3


_ALLOCATES = """
from lai.host.cpu import peak_memory

before = peak_memory()
block = bytearray(64 << 20)
block[::4096] = bytes([1]) * len(block[::4096])
print(peak_memory() - before)
"""


def test_peak_memory_is_that_of_the_process():
    """The program that starts it is larger, which getrusage(2) counts on Linux."""
    larger = bytearray(b"x" * (128 << 20))
    grown = int(python("-c", _ALLOCATES).stdout)
    assert 40 << 20 < grown < len(larger) + (40 << 20)


def test_peak_memory_is_unknown_on_windows(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert cpu.peak_memory() is None
