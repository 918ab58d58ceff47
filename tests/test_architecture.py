"""docs/architecture.md, against the files that there are."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def described():
    """The paths of the tree's lines, each put together from the folders above it."""
    tree = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").partition("```text\n")[2].partition("```")[0]
    folders, found = [], set()
    for line in tree.splitlines():
        match = re.match(r"( *)([\w.]+/?)(?: |$)", line)
        assert match, line
        del folders[len(match[1]) // 2 :]
        name = match[2]
        found.add("".join(folders) + name)
        if name.endswith("/"):
            folders.append(name)
    return found


def test_the_tree_names_every_module_and_nothing_else():
    modules = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "lai").rglob("*.py")
        if path.name != "__init__.py" and "__pycache__" not in path.parts
    }
    assert {name for name in described() if name.endswith(".py")} == modules


def test_the_tree_names_every_folder_of_the_engine():
    folders = {f"cpp/{path.name}/" for path in (ROOT / "cpp").iterdir() if path.is_dir()}
    assert {name for name in described() if re.fullmatch(r"cpp/\w+/", name)} == folders


def test_the_files_on_a_documents_way_exist():
    way = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").partition("## One document's way")[2]
    paths = re.findall(r"`([\w/]+\.[a-z]+)`", way)
    assert len(paths) >= 12
    assert [path for path in paths if not (ROOT / path).exists() and not (ROOT / "lai" / path).exists()] == []


def test_the_readme_names_every_folder():
    tree = (ROOT / "README.md").read_text(encoding="utf-8").partition("```text\n")[2].partition("```")[0]
    lines = [line.split() for line in tree.splitlines()]
    packages = {f"{path.parent.name}/" for path in (ROOT / "lai").glob("*/__init__.py")}
    folders = {"lai/", "conf/", "scripts/", "cpp/", "tests/", "benchmarks/", "docs/", "findings/", *packages}
    named = {words[0] for words in lines}
    assert folders <= named
    assert all(len(words) > 1 for words in lines)
    assert all((ROOT / name).exists() or (ROOT / "lai" / name).exists() for name in named)


def test_benchmarks_import_names_that_exist():
    """They need packages that are not installed for the tests, so only what they take from LAi is looked at."""
    missing = []
    for file in sorted((ROOT / "benchmarks").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lai"):
                names = [alias.name for alias in node.names]
                module = __import__(node.module, fromlist=names)  # also imports modules of these names
                missing += [f"{file.name}: {name}" for name in names if not hasattr(module, name)]
    assert missing == []
