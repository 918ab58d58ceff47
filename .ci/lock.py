"""Write the lock files: every package that `make setup` installs, with the SHA-256 of each of its files.

`make lock` runs this with uv after a change of pyproject.toml or constraints.txt. The versions are those of
constraints.txt. The lock holds for Python 3.11 to 3.13 on Linux, macOS and Windows.

    requirements-build.lock   what other packages are built with, installed first
    requirements.lock         all others
    requirements-cpu.lock     a CPU-only torch, which is taken where pip finds it; else that of requirements.lock
    requirements-cuda.lock    what only PyPI's torch for Linux needs: gigabytes that a CPU-only torch works without
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARTS = {
    "requirements-build.lock": re.compile(
        r"(setuptools|hatchling|editables|packaging|pathspec|pluggy|trove-classifiers)=="
    ),
    "requirements-cuda.lock": re.compile(r"(nvidia-|cuda-|triton==)"),
    "requirements.lock": re.compile(""),
}
# Wheels of download.pytorch.org/whl/cpu, which PyPI does not list. They need an entry of their own: of the files whose
# hashes an entry allows, pip prefers one that an index lists with its hash to one in a folder (pip 23.2).
TORCH_CPU = {
    # cp311-cp311-manylinux_2_28_x86_64
    "2.13.0+cpu": "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",
}
HEADER = "# Written by `make lock` from pyproject.toml and constraints.txt; not edited by hand.\n"


def compiled(uv: str) -> str:
    """What uv finds: an entry for each package, with its hashes.

    Raises:
        SystemExit: uv is missing or finds no versions that go together; its message is shown.
    """
    command = [uv, "pip", "compile", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-header"]
    command += ["--no-annotate", "--quiet", "--extra", "dev", "--constraint", "constraints.txt", "pyproject.toml"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    except OSError as error:
        sys.exit(f"error: cannot run {uv}: {error.strerror}; install uv, or name it with --uv")
    if done.returncode != 0:
        sys.exit(f"error: {done.stderr.strip()}")
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--uv", default="uv", help="the uv program (default: %(default)s)")
    entries = re.split(r"\n(?=\S)", compiled(parser.parse_args().uv).strip())
    for name, pattern in PARTS.items():
        chosen = [entry for entry in entries if pattern.match(entry)]
        entries = [entry for entry in entries if not pattern.match(entry)]
        (ROOT / name).write_text(HEADER + "\n".join(chosen) + "\n", encoding="utf-8")
        print(f"{name}: {len(chosen)} packages")
    lines = [f"torch=={version} --hash=sha256:{digest}" for version, digest in TORCH_CPU.items()]
    (ROOT / "requirements-cpu.lock").write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
