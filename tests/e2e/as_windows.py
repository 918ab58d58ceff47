"""Run LAi's programs one after another, with what Windows refuses refused here.

    python as_windows.py '[["lai.info", "FILE"], ["lai-export", "CKPT", "--output", "FILE"]]'

The program `lai` imports every module.

This is a stand-in, as far as Python lets it. Libraries have code of their own for Windows, so modules are hidden from
LAi's files only.
"""

import builtins
import errno
import fcntl
import importlib
import json
import multiprocessing
import os
import pkgutil
import runpy
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
UNIX_MODULES = ["crypt", "curses", "fcntl", "grp", "nis", "posix", "pty", "pwd"]
UNIX_MODULES += ["readline", "resource", "spwd", "syslog", "termios", "tty"]
# On Windows a temporary file is deleted when it is closed, and a lock file stays.
OTHERWISE_ON_WINDOWS = ("tempfile", "filelock")


def hide_unix_modules() -> None:
    """From the top of LAi's files; a function may import one behind a look at `sys.platform`, which mypy checks."""
    real = builtins.__import__

    def import_(name: str, globals: Any = None, locals: Any = None, *others: Any, **more: Any) -> Any:
        if name in UNIX_MODULES and globals is not None and locals is globals:
            file = Path(globals.get("__file__") or "/")
            if ROOT / "lai" in file.parents or ROOT / "scripts" in file.parents:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, globals, locals, *others, **more)

    builtins.__import__ = import_


def refuse_what_windows_refuses() -> None:
    """Opening a folder, syncing a file that is only read, and replacing or removing one that is open or mapped."""
    open_, fsync = os.open, os.fsync

    def checked_open(path: Any, *others: Any, **more: Any) -> int:
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return open_(path, *others, **more)

    def checked_fsync(descriptor: int) -> None:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        fsync(descriptor)

    os.open, os.fsync = checked_open, checked_fsync
    shutil._use_fd_functions = False  # of rmtree, which then calls the functions below with whole paths
    for name in ("replace", "rename", "unlink", "remove", "rmdir"):
        setattr(os, name, refuse_if_in_use(getattr(os, name)))


def refuse_if_in_use(function: Any) -> Any:
    def checked(*paths: Any, **more: Any) -> None:
        caller = sys._getframe(1)
        while caller.f_globals.get("__name__") in ("pathlib", "shutil"):
            caller = caller.f_back
        if caller.f_globals.get("__name__", "").partition(".")[0] not in OTHERWISE_ON_WINDOWS:
            for path in paths:
                if used := in_use(os.path.realpath(path)):
                    raise PermissionError(errno.EACCES, "The file is used by another process", used)
        function(*paths, **more)

    return checked


def in_use(path: str) -> str | None:
    """A file that is open or mapped in this process: `path`, or one in the folder `path`."""
    mapped = Path("/proc/self/maps").read_bytes().decode().splitlines()
    used = [line[line.index("/") :] for line in mapped if "/" in line]
    for link in Path("/proc/self/fd").iterdir():
        try:
            used.append(str(link.readlink()))
        except FileNotFoundError:  # that of the folder itself
            continue
    return next((name for name in used if name == path or name.startswith(path + "/")), None)


def import_everything() -> None:
    import lai

    for module in pkgutil.walk_packages(lai.__path__, "lai."):
        importlib.import_module(module.name)


def run(program: str, *arguments: str) -> None:
    sys.argv = [program, *arguments]
    try:
        if program == "lai":
            import_everything()
        elif program.endswith(".py"):
            runpy.run_path(program, run_name="__main__")
        else:
            runpy.run_module(program, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            raise


def main() -> None:
    hide_unix_modules()
    refuse_what_windows_refuses()
    multiprocessing.set_start_method("spawn")
    for module in (r"lai\.", "__main__"):
        warnings.filterwarnings("error", category=EncodingWarning, module=module)
    for program in json.loads(sys.argv[1]):
        run(*program)


if __name__ == "__main__":
    main()
