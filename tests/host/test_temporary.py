"""What killed programs leave is removed; what is being written, and what others have made, is not."""

import time

import pytest
from processes import python

from lai.host.files import atomic_directory, atomic_write
from lai.host.temporary import sweep

KILLED = """
import os, sys
from lai.host.files import atomic_directory, atomic_write
with atomic_write(sys.argv[1] + "/a.bin") as file, atomic_directory(sys.argv[1] + "/tokens") as folder:
    file.write(b"half")
    (folder / "part").write_bytes(b"half")
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def hour_old(monkeypatch):
    """Makes all files an hour old."""
    later = time.time() + 3600
    monkeypatch.setattr("lai.host.temporary.time.time", lambda: later)


def test_what_a_killed_program_leaves_is_removed(tmp_path, hour_old):
    python("-c", KILLED, tmp_path)
    (tmp_path / ".model.bin.123.unverified").write_bytes(b"half")
    assert len([*tmp_path.glob(".*")]) == 3
    assert len(sweep([tmp_path, tmp_path])) == 3
    assert not [*tmp_path.iterdir()]


def test_files_that_are_being_written_stay(tmp_path, hour_old):
    with atomic_write(tmp_path / "checkpoints" / "a.ckpt") as file, atomic_directory(tmp_path / "tokens") as folder:
        file.write(b"all")
        (folder / "part").write_bytes(b"all")
        assert not sweep([tmp_path])
    assert (tmp_path / "checkpoints" / "a.ckpt").read_bytes() == (tmp_path / "tokens" / "part").read_bytes() == b"all"


def test_a_new_file_stays_for_it_may_not_be_locked_yet(tmp_path):
    (tmp_path / ".a.bin.abcd1234.tmp").touch()
    assert not sweep([tmp_path])


def test_files_of_others_stay(tmp_path, hour_old):
    (tmp_path / "outside").mkdir()
    for name in (".env", "notes.tmp", ".cache.tmp", ".a.bin.abcd1234.tmp.txt"):
        (tmp_path / name).touch()
    (tmp_path / ".a.abcd1234.tmp").symlink_to(tmp_path / "outside")
    assert not sweep([tmp_path])
