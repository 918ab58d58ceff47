"""What all programs share: each is a console script, and a script of the checkout; --help and --version."""

import re
import tomllib
from pathlib import Path

import pytest
from processes import WarmPython

import lai

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PROGRAMS = PROJECT["scripts"]
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
MODULES = {path.stem for path in (ROOT / "lai" / "programs").glob("*.py")} - {"__init__", "arguments"}


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    process = WarmPython(tmp_path_factory.mktemp("empty"))
    yield process
    process.close()


def start(python, name, *arguments):
    """What the console script exits with and prints; pip writes this code into the script."""
    module, function = PROGRAMS[name].split(":")
    code = f"import sys; sys.argv[0] = '/any/bin/{name}'; from {module} import {function}; sys.exit({function}())"
    return python.run(["-c", code, *arguments], {"COLUMNS": "200"})


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_console_script_answers_help(python, name):
    status, output = start(python, name, "--help")
    assert status == 0, output
    assert output.startswith(f"usage: {name} ") and "--version" in output, output


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_console_script_answers_version(python, name):
    assert start(python, name, "--version") == (0, f"lai {lai.__version__}\n")


def test_every_program_is_a_console_script():
    modules = {"lai.train", "lai.generate", "lai.info", "lai.report", *(f"lai.programs.{module}" for module in MODULES)}
    assert set(PROGRAMS.values()) == {f"{module}:main" for module in modules}
    assert all(re.fullmatch("lai(-[a-z]+)+", name) for name in PROGRAMS)


def test_every_script_is_a_thin_wrapper_of_one_program():
    wrapped = []
    for path in SCRIPTS:
        match = re.fullmatch(
            r'""".+"""\n\nfrom lai\.programs\.(\w+) import main\n\nif __name__ == "__main__":\n    main\(\)\n',
            path.read_text(encoding="utf-8"),
        )
        assert match, path
        wrapped.append(match[1])
    assert sorted(wrapped) == sorted(MODULES)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_work_from_any_folder_and_usage_names_the_command(python, path):
    status, output = python.run([str(path), "--help"], {"COLUMNS": "300"})
    assert status == 0 and output.startswith(f"usage: python {path} [-h]"), output


@pytest.mark.parametrize("module", ["lai.info", "lai.programs.export"])
def test_usage_names_the_module_that_python_runs(python, module):
    status, output = python.run(["-m", module, "--help"], {"COLUMNS": "200"})
    assert status == 0 and output.startswith(f"usage: python -m {module} [-h]"), output
