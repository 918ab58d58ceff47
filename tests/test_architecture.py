"""docs/architecture.md, against the files that there are."""

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
