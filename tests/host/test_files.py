"""Files appear whole or not at all."""

import errno
import io
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from lai.data.cache import cached_file
from lai.host.errors import UserError
from lai.host.files import (
    atomic_directory,
    atomic_write,
    check_regular,
    open_regular,
    read_at_most,
    read_json,
    read_regular,
    replace_and_keep,
    target_of,
    with_home,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), atomic_write(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    with atomic_write(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_written_file_is_readable_like_any_other(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    with atomic_write(tmp_path / "atomic"):
        pass
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "text")
    for content in (b"made", b"replaced"):
        with atomic_write(tmp_path / "link") as file:
            file.write(content)
        assert (tmp_path / "link").is_symlink() and (tmp_path / "disk" / "text").read_bytes() == content


def test_unknown_home_folder_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert with_home("~/a.txt") == tmp_path / "a.txt"
    assert with_home("a~.txt") == Path("a~.txt")
    with pytest.raises(UserError, match="no home folder is known for ~nobody-at-all"):
        with_home("~nobody-at-all/a.txt")


def test_a_pipe_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="no regular file"), atomic_write(tmp_path / "pipe"):
        pass
    assert (tmp_path / "pipe").is_fifo()


def test_another_kind_of_file_is_not_replaced(tmp_path):
    path = tmp_path / "a.bin"
    assert target_of(path, b"LAi1") == path
    for content in (b"", b"LAi1 and more"):
        path.write_bytes(content)
        assert target_of(path, b"LAi1") == path
    for content in (b"LAi", b"A text."):
        path.write_bytes(content)
        with pytest.raises(UserError, match="another kind of file"):
            target_of(path, b"LAi1")


@pytest.fixture(params=["hard links", "no hard links"])
def links(request, monkeypatch):
    """File systems with hard links, and without as on many USB sticks."""

    def refuse(*_, **__):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    if request.param == "no hard links":
        monkeypatch.setattr("os.link", refuse)


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.suffix != ".lock"}


def replace(folder, text):
    (folder / "new").write_text(text)
    return replace_and_keep(folder / "new", folder / "a.bin")


@pytest.mark.usefixtures("links")
def test_an_earlier_file_is_kept_under_the_next_free_name(tmp_path):
    assert replace(tmp_path, "first") is None
    (tmp_path / "a.2.bin").write_text("somebody's")
    assert replace(tmp_path, "second") == tmp_path / "a.1.bin"
    assert replace(tmp_path, "third") == tmp_path / "a.3.bin"
    assert contents(tmp_path) == {
        "a.bin": "third", "a.1.bin": "first", "a.2.bin": "somebody's", "a.3.bin": "second"
    }  # fmt: skip


@pytest.mark.usefixtures("links")
def test_runs_that_end_at_once_keep_the_files_of_all(tmp_path):
    runs = 8
    together = threading.Barrier(runs)

    def end(run):
        new = tmp_path / f"new{run}"
        new.write_text(str(run))
        together.wait()
        replace_and_keep(new, tmp_path / "a.bin")

    with ThreadPoolExecutor(runs) as pool:
        list(pool.map(end, range(runs)))
    assert sorted(contents(tmp_path).values()) == [str(run) for run in range(runs)]


@pytest.mark.usefixtures("links")
def test_the_same_bytes_are_not_kept_twice_and_an_empty_file_not_at_all(tmp_path):
    (tmp_path / "a.bin").write_text("")
    assert replace(tmp_path, "same") is None
    os.utime(tmp_path / "a.bin", (0, 0))
    assert replace(tmp_path, "same") is None
    assert contents(tmp_path) == {"a.bin": "same"}
    assert (tmp_path / "a.bin").stat().st_mtime > 0  # make sees that it was made again


@pytest.mark.usefixtures("links")
@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_crash_at_any_step_of_keeping_leaves_the_earlier_file(tmp_path, monkeypatch, steps):
    """After so many changes of the folder the next one never happens."""
    (tmp_path / "a.bin").write_text("earlier")
    done = []

    def stopping(change):
        def step(*arguments):
            if len(done) == steps:
                raise KeyboardInterrupt
            change(*arguments)
            done.append(change)

        return step

    for owner, name in ((os, "link"), (Path, "rename"), (Path, "replace")):
        monkeypatch.setattr(owner, name, stopping(getattr(owner, name)))
    with suppress(KeyboardInterrupt):
        replace(tmp_path, "later")
    assert len(done) == steps
    assert "earlier" in {contents(tmp_path).get("a.bin"), contents(tmp_path).get("a.1.bin")}


def test_a_failed_folder_leaves_the_old_one(tmp_path):
    folder = tmp_path / "f"
    with atomic_directory(folder) as temporary:
        (temporary / "x").write_text("old")
    with pytest.raises(RuntimeError), atomic_directory(folder) as temporary:
        (temporary / "x").write_text("half")
        raise RuntimeError
    assert (folder / "x").read_text() == "old"
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("damage", ["delete", "truncate", "edit", "sidecar", None])
def test_a_cached_file_is_built_again_only_if_it_is_not_what_was_built(tmp_path, damage):
    path, builds = tmp_path / "c.txt", []

    def build(target):
        builds.append(target)
        with atomic_write(target) as file:
            file.write(b"content")
        return {"lines": 1}

    assert cached_file(path, build) == {"lines": 1}
    if damage == "delete":
        path.unlink()
    elif damage == "truncate":
        path.write_bytes(b"conten")
    elif damage == "edit":
        path.write_bytes(b"Content")
    elif damage == "sidecar":
        (tmp_path / "c.txt.json").write_text("{")
    assert cached_file(path, build) == {"lines": 1}
    assert path.read_bytes() == b"content"
    assert len(builds) == (1 if damage is None else 2)


def test_only_a_regular_file_is_opened_for_reading(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    os.mkfifo("pipe")
    Path("loop").symlink_to("loop")
    Path("link").symlink_to("text")
    Path("text").write_bytes(b"text")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        for name, found in (
            ("pipe", "it is a named pipe; expected a regular file"),
            ("socket", "it is a socket; expected a regular file"),
            (".", "it is a folder; expected a regular file"),
            (os.devnull, "it is a device; expected a regular file"),
            ("loop", "symbolic links"),
            ("missing", "No such file or directory"),
        ):
            for read in (check_regular, open_regular, read_regular):
                with pytest.raises(UserError, match=f"^cannot read {name}: .*{found}"):
                    read(name)
    with pytest.raises(UserError, match=r"^cannot read the model file pipe: it is a named pipe"):
        open_regular("pipe", "the model file")
    assert read_regular("link") == read_regular(Path("text")) == b"text"


def test_no_more_is_read_than_is_allowed(tmp_path):
    (tmp_path / "text").write_bytes(b"12345")
    assert read_regular(tmp_path / "text", 5) == b"12345"
    with pytest.raises(UserError, match="text: it has more than 0 MB; expected a shorter text"):
        read_regular(tmp_path / "text", 4)
    with (
        Path("/dev/zero").open("rb") as endless,
        pytest.raises(UserError, match=r"^cannot read zeros: it has more than 3 MB"),
    ):
        read_at_most(endless, 3_000_000, "zeros")
    assert read_at_most(io.BytesIO(b"abc"), 3, "abc") == b"abc"


def test_json_that_is_too_deep_or_in_a_pipe_is_no_value(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "deep").write_text("[" * 100_000)
    (tmp_path / "cut").write_text('{"a": 1')
    (tmp_path / "good").write_text('{"a": 1}')
    assert read_json(tmp_path / "good") == {"a": 1}
    for name in ("pipe", "deep", "cut", "missing"):
        with pytest.raises(ValueError):
            read_json(tmp_path / name)
