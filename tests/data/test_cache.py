"""Files that are made once: their names, and waiting for another process."""

import errno
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from filelock import FileLock

from lai.data.cache import cached_file, fingerprint
from lai.host.errors import UserError


def test_a_fingerprint_depends_on_values_and_not_on_their_order() -> None:
    digits = sha256(b'{"a": 1, "b": [2]}').hexdigest()[:16]
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1}) == digits
    assert fingerprint({"a": 1, "b": [3]}) != digits


def test_processes_that_want_the_same_file_build_it_once(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from lai.data.cache import cached_file\n"
        "def build(path): print('built'); time.sleep(0.5); path.write_bytes(b'content'); return {'lines': 1}\n"
        "assert cached_file(Path(sys.argv[1]), build) == {'lines': 1}\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "file")]
    root = Path(__file__).parents[2]
    jobs = [subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [job.communicate(timeout=60)[0] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0]
    assert sorted(outputs) == ["", "built\n"]


def test_a_cache_that_cannot_be_written_is_one_line_that_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be")
    with pytest.raises(UserError, match=r"data\.cache_dir=FOLDER"):
        cached_file(tmp_path / "taken" / "file", lambda _: {})


def test_a_ready_file_on_a_read_only_disk_is_used_without_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(path: Path) -> dict[str, int]:
        path.write_bytes(b"content")
        return {"lines": 1}

    def refuse(self: FileLock, timeout: float | None = None) -> None:
        raise OSError(errno.EROFS, "Read-only file system", self.lock_file)

    assert cached_file(tmp_path / "file", build) == {"lines": 1}
    monkeypatch.setattr(FileLock, "acquire", refuse)
    assert cached_file(tmp_path / "file", lambda _: pytest.fail("it is built again")) == {"lines": 1}
    with pytest.raises(UserError, match=r"Read-only file system; give another folder: data\.cache_dir=FOLDER"):
        cached_file(tmp_path / "missing", build)


def test_a_sidecar_of_deep_json_means_that_the_file_is_built_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "file.json").write_text("[" * 100_000)
    assert cached_file(tmp_path / "file", lambda _: {"lines": 1}) == {"lines": 1}
