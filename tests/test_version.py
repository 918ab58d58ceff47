"""The version stands in lai/__init__.py alone; whatever prints one prints that."""

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from engine_program import build_engine

import lai

ROOT = Path(__file__).parents[1]


def test_the_package_its_metadata_a_program_and_the_engine_have_the_same_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+\w*", lai.__version__)
    assert version("lai") == lai.__version__
    program = subprocess.check_output([sys.executable, "-m", "lai.info", "--version"], cwd=ROOT, text=True)
    engine = subprocess.check_output([build_engine(), "--version"], text=True)
    assert program == engine == f"lai {lai.__version__}\n"


def test_the_version_is_written_in_one_file():
    files = [ROOT / "pyproject.toml", *(ROOT / "lai").rglob("*.py"), *(ROOT / "cpp").rglob("*.*")]
    holding = [path for path in files if lai.__version__ in path.read_text(encoding="utf-8")]
    assert holding == [ROOT / "lai" / "__init__.py"]
