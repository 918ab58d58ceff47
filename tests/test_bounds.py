"""The versions that pyproject.toml allows, against those that are tested."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]


def bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    return {requirement.name: requirement.specifier for requirement in map(Requirement, lines)}


def pinned(file):
    return dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE))


def test_each_lower_bound_is_the_version_that_make_lowest_installs():
    lowest = pinned("constraints-lowest.txt")
    assert lowest.keys() == bounds().keys()
    for name, specifier in bounds().items():
        [bound] = [SpecifierSet(f"=={part.version}") for part in specifier if part.operator == ">="]
        assert bound.contains(lowest[name]), f"{name}: {specifier}, but {lowest[name]} is tested"


def test_the_versions_that_make_installs_are_allowed():
    chosen = pinned("constraints.txt")
    assert {name for name, specifier in bounds().items() if not specifier.contains(chosen[name])} == set()
