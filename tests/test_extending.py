"""Every recipe of docs/extending.md works, followed word for word in a copy of the checkout."""

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow
import pytest
import torch
from loopback_hub import serving
from pyarrow import parquet
from runs import example_lines
from test_docs import python_program, shortened_training

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "extending.md"
COPIED = ("lai", "conf", "cpp", "docs", "scripts", "pyproject.toml")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and its lines."""

    language: str
    lines: list[str]


def recipes() -> dict[str, list[Block]]:
    """The blocks below each heading of the page that has some, in their order."""
    found = {}
    for section in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        blocks = re.findall(r"^```(\w+)\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
        found[section.partition("\n")[0]] = [Block(language, body.splitlines()) for language, body in blocks]
    return found


def apply_change(folder: Path, lines: list[str]) -> None:
    """Replace a diff's lines of the old file by those of the new one; the old ones must be there, once."""
    path = folder / lines[0].removeprefix(" # ")
    old = "".join(f"{line[1:]}\n" for line in lines[1:] if line[0] in " -")
    new = "".join(f"{line[1:]}\n" for line in lines[1:] if line[0] in " +")
    text = path.read_text(encoding="utf-8")
    assert f"\n{text}".count(f"\n{old}") == 1, f"{path.name} has not once:\n{old}"
    path.write_text(text.replace(old, new), encoding="utf-8")


def write_file(folder: Path, lines: list[str]) -> None:
    path = folder / lines[0].removeprefix("# ")
    assert not path.exists(), f"{path} exists already"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines[1:]) + "\n", encoding="utf-8")


class Copy:
    """A copy of the checkout in which Python finds its own `lai`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._runs = 0
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(folder),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
        }
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, folder / name)
        (folder / "tests").mkdir()
        shutil.copytree(ROOT / "tests" / "cpp", folder / "tests" / "cpp")
        for name in ("data/train.txt", "toy/text.txt"):
            (folder / name).parent.mkdir()
            (folder / name).write_text("\n".join(example_lines(300)) + "\n", encoding="utf-8")

    def run(self, command: str) -> str:
        """What a command of the page prints; training runs are made short."""
        words = shlex.split(command)
        environment = dict(self.environment)
        while re.match(r"[A-Z_]+=", words[0]):
            name, value = words.pop(0).split("=", 1)
            environment[name] = value
        status = {0}
        if words == ["make", "settings"]:
            self._settings()
            return ""
        if words == ["make", "debug"]:
            return ""  # what it does beyond the commands before it takes minutes
        if program := python_program(words):
            name, arguments = program
            if name == "train" and "--help" not in words:
                self._runs += 1
                added = shortened_training(words, self._runs)
                given = {word.partition("=")[0] for word in words}
                arguments += [
                    word
                    for word in added
                    if word.partition("=")[0] not in given and not word.startswith(("model.", "data.vocab_path"))
                ]
            status = {0, 1} if name == "check_data" else status  # as there are few documents
            words = [sys.executable, *arguments]
        elif words[0] == "python":
            words[0] = sys.executable
        elif ">" in words:
            words = ["sh", "-c", command]
        done = subprocess.run(
            words, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode in status, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _settings(self) -> None:
        """What `make settings` does, with this Python."""
        for module, file in (("lai.config.describe", "docs/configuration.md"), ("lai.train", "conf/schema.json")):
            flags = ["--schema"] if module == "lai.train" else []
            made = subprocess.run(
                [sys.executable, "-m", module, *flags],
                cwd=self.folder,
                env=self.environment,
                capture_output=True,
                text=True,
                check=True,
            )
            (self.folder / file).write_text(made.stdout, encoding="utf-8")

    def follow(self, recipe: list[Block]) -> list[str]:
        """Do what a recipe says; what its commands print."""
        printed = []
        for block in recipe:
            if block.language == "diff":
                apply_change(self.folder, block.lines)
            elif block.language == "sh":
                commands = "\n".join(block.lines).replace("\\\n", " ").splitlines()
                printed += [self.run(command) for command in commands]
            else:
                write_file(self.folder, block.lines)
        return printed


@pytest.fixture
def copy(tmp_path):
    return Copy(tmp_path)


def test_every_recipe_has_a_test():
    assert {name for name, blocks in recipes().items() if blocks} == {
        "A setting",
        "A model size",
        "A known data set",
        "A data format",
        "A callback",
        "A logger",
        "An export format",
        "An engine kernel",
    }


@pytest.mark.heavy
def test_a_setting_reaches_the_optimizer_the_help_and_the_documents(copy):
    printed = copy.follow(recipes()["A setting"])
    assert "optimizer.embedding_weight_decay" in printed[-1]
    assert "| `optimizer.embedding_weight_decay` |" in (copy.folder / "docs/configuration.md").read_text("utf-8")
    assert '"embedding_weight_decay"' in (copy.folder / "conf/schema.json").read_text("utf-8")
    checkpoint = torch.load(copy.folder / "outputs/run1/checkpoints/last.ckpt", weights_only=True)
    groups = checkpoint["optimizer_states"][0]["param_groups"]
    assert [group["weight_decay"] for group in groups] == [0.1, 0.01]


def test_a_setting_takes_two_lines_of_python_and_one_of_yaml():
    added = [
        (block.lines[0].rpartition(".")[2], line)
        for block in recipes()["A setting"]
        if block.language == "diff"
        for line in block.lines
        if line.startswith("+")
    ]
    assert [kind for kind, _ in added] == ["py", "py", "yaml"]


@pytest.mark.heavy
def test_a_model_size_trains(copy):
    copy.follow(recipes()["A model size"])
    described = dict(re.findall(r"(\w+) +(\d+)\n", copy.run("lai-info models/run2.bin")))
    found = {name: described[name] for name in ("dim", "hidden_dim", "n_layers", "n_heads", "max_seq_len")}
    assert found == {"dim": "64", "hidden_dim": "192", "n_layers": "2", "n_heads": "2", "max_seq_len": "256"}


@pytest.mark.heavy
def test_a_known_data_set_is_fetched(copy, tmp_path):
    table = pyarrow.table({"question": ["Hány lába van?", "Mi ez?", "Ki ő?"], "answer": ["Négy.", "Fa.", "Anna."]})
    parquet.write_table(table, tmp_path / "facts.parquet")
    with serving() as hub:
        hub.repositories["org/facts"] = {"data/train-00000-of-00001.parquet": (tmp_path / "facts.parquet").read_bytes()}
        copy.environment |= hub.environment(tmp_path / "hub") | {"PYTHONPATH": copy.environment["PYTHONPATH"]}
        printed = copy.follow(recipes()["A known data set"])
    assert "--hu_facts" in printed[0]
    assert (copy.folder / "data/facts.txt").read_text(encoding="utf-8").splitlines() == [
        "<user>Hány lába van?</user><assistant>Négy.</assistant>",
        "<user>Mi ez?</user><assistant>Fa.</assistant>",
    ]


@pytest.mark.heavy
def test_a_data_format_is_read(copy):
    printed = copy.follow(recipes()["A data format"])
    assert re.search(r"formats\W+Markdown\b", printed[0]) and re.search(r"documents\W+2\b", printed[0]), printed[0]


@pytest.mark.heavy
def test_a_callback_logs_its_curve(copy):
    printed = copy.follow(recipes()["A callback"])
    assert "train/weight_norm" in printed[-1].partition("\n")[0]


@pytest.mark.heavy
def test_a_logger_writes_its_file(copy):
    printed = copy.follow(recipes()["A logger"])
    assert '"train/loss"' in printed[-1]


@pytest.mark.heavy
def test_an_export_format_writes_the_weights(copy, model_file):
    (copy.folder / "models").mkdir()
    shutil.copy(model_file, copy.folder / "models" / "lai-nano.bin")
    printed = copy.follow(recipes()["An export format"])
    assert re.fullmatch(r"\((\d+), \1\)", printed[-1].strip())


@pytest.mark.heavy
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the recipe is for x86-64")
def test_a_kernel_set_passes_the_test_of_kernels(copy):
    copy.follow(recipes()["An engine kernel"])
