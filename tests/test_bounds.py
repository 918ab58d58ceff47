"""The versions that pyproject.toml allows, against those that are tested."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    return {requirement.name: requirement.specifier for requirement in map(Requirement, lines)}


def pinned(file):
    return dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE))


def locked():
    """The locked versions by package, and the number of hashes of each."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("requirements*.lock")))
    entries = [entry for entry in re.split(r"\n(?=\S)", text) if entry and not entry.startswith("#")]
    parts = [re.match(r"([\w.-]+)==([^\s;]+)", entry).groups() for entry in entries]
    hashes = [len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry)) for entry in entries]
    return parts, hashes


def test_every_locked_package_has_a_hash():
    parts, hashes = locked()
    assert len(parts) > 80 and min(hashes) > 0


def test_the_lock_has_the_versions_of_the_constraints():
    chosen = {canonicalize_name(name): version for name, version in pinned("constraints.txt").items()}
    found = [(canonicalize_name(name), version.removesuffix("+cpu")) for name, version in locked()[0]]
    assert {(name, version) for name, version in found if chosen.get(name, version) != version} == set()
    assert {canonicalize_name(name) for name in bounds()} <= {name for name, _ in found}


def test_each_lower_bound_is_the_version_that_make_lowest_installs():
    lowest = pinned("constraints-lowest.txt")
    assert lowest.keys() == bounds().keys()
    for name, specifier in bounds().items():
        [bound] = [SpecifierSet(f"=={part.version}") for part in specifier if part.operator == ">="]
        assert bound.contains(lowest[name]), f"{name}: {specifier}, but {lowest[name]} is tested"


def test_the_versions_that_make_installs_are_allowed():
    chosen = pinned("constraints.txt")
    assert {name for name, specifier in bounds().items() if not specifier.contains(chosen[name])} == set()
