"""Every command of README.md and docs/ works as it is printed, shortened where it would take long.

A command of a ```sh block is one of three kinds: it runs here, it is in `NOT_RUN` with the reason, or its page fails.
"""

import os
import re
import shlex
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from processes import WarmPython
from runs import TINY, example_lines

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "AGENTS.md")),
    *sorted(page for page in (ROOT / "docs").glob("*.md") if page.name != "extending.md"),  # see test_extending.py
]
GUIDES = (ROOT / "docs" / "guide.md", ROOT / "docs" / "hu" / "guide.md")
WITH_PYTHON = (ROOT / "README.md", GUIDES[0], ROOT / "docs" / "exports.md")

NOT_RUN = {
    r"\. \.venv/bin/activate": "changes the shell that it is typed in, nothing else",
    r"tensorboard ": "a server that runs until somebody stops it",
    r"(sudo )?(apt-get|brew|xcode-select|pip|pre-commit|git) ": "installs or fetches software",
    r"kill ": "ends a program that a person has started",
    r"(nvidia-smi|torchrun|srun|sbatch) ?": "needs GPUs or a cluster",
    r"\S*python benchmarks/": "measures for minutes",
    r"\S*python scripts/download_data\.py|\S*lai-download-data": "fetches data sets from the network",
}
"""Commands that no test runs, and why; matched at the beginning."""

COMPOSED = {
    r"\bdata=hub\b": "fetches data sets from the network",
    r"\btrainer\.(devices|strategy|num_nodes)=": "needs several devices",
}
"""`lai.train` with these: its settings are composed and checked, nothing is trained."""

ELSEWHERE = r"\b(trainer\.accelerator|device)=(mps|cuda)"
"""Devices: such a command runs on the CPU here, and its settings are composed as they are, too."""

TOY = [
    *TINY,
    "checkpoint.keep=all",
    "model.max_seq_len=512",
    "data.seq_len=64",
    "device.threads=1",
    "device.num_workers=0",
]

LONG = {
    "generate_data": "--sentences 200 --stories 30 --translations 60 --instructions 20",
    "build_vocab": "--vocab_size 400",
    "evaluate": "--limit 4 --tokens 4 --conversations 2",
    "generate": "--tokens 4",
    "show_batch": "data.path=toy/text.txt",
    "lai": "--tokens 4",
}
"""What is appended to a program's arguments, the last of which count. For `lai.train` see `shortened_training`."""

STATUS = {"check_data": 1}  # as the toy text has too few documents

PLAIN = ("head", "tail", "cat", "ls", "mkdir", "cp")
"""Programs of the system that commands may use."""


@dataclass(frozen=True)
class Command:
    """A line of a ```sh block, its continuation lines joined."""

    page: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}: {self.text}"


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """(number of its first line, content) of each fenced block in this language."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [(text.count("\n", 0, block.start(1)) + 1, block[1]) for block in found]


def commands(page: Path) -> list[Command]:
    found = []
    for first, block in blocks(page, "sh"):
        lines = iter(enumerate(block.split("\n"), first))
        for number, line in lines:
            while line.endswith("\\"):
                line = line[:-1] + next(lines)[1].strip()
            if line.strip() and not line.startswith("#"):
                found.append(Command(page, number, line.strip()))
    return found


def matches(patterns: dict[str, str], text: str, anywhere: bool = False) -> bool:
    return any((re.search if anywhere else re.match)(pattern, text) for pattern in patterns)


class Checkout:
    """A folder that looks like a checkout after `make train` and a run, all of it with a toy model.

    `scripts`, `conf` and the engine are those of this checkout; what commands write stays in the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._runs = 0
        self._passed: set[str] = set()
        for name in ("scripts", "conf", "cpp", "Makefile", "pyproject.toml", "constraints.txt"):
            (folder / name).symlink_to(ROOT / name)
        for name in ("toy", "data", "own", "pairs", "models", "build"):
            (folder / name).mkdir()
        self.engine = ROOT / "build" / "lai"
        if self.engine.is_file():
            (folder / "build" / "lai").symlink_to(self.engine)
        self._write_data()
        self.python = WarmPython(folder)
        self._train()

    def _write_data(self) -> None:
        text = "\n".join(example_lines(300)) + "\n"
        for name in ("toy/text.txt", "data/train.txt", "data/val.txt", "own/text.txt"):
            (self.folder / name).write_text(text, "utf-8")
        pairs = "".join(f"The dog has {n} apples.\tA kutyának {n} almája van.\n" for n in range(60))
        (self.folder / "pairs" / "a.tsv").write_text(pairs, "utf-8")
        (self.folder / "own" / "dogs.jsonl").write_text('{"text": "A dog. Egy kutya."}\n', "utf-8")
        (self.folder / "own.jsonl").write_text('{"prompt": "Hello!", "answer": "Szia!"}\n', "utf-8")

    def _train(self) -> None:
        """A run that lies where `<date>/<time>` stands, and a model under each name."""
        short = ("data.path=toy/text.txt", "trainer.max_steps=2", "trainer.log_every_n_steps=1")
        names = ("hydra.run.dir=outputs/date/time", "export.path=models/lai-nano.bin")
        status, output = self.python.run(["-m", "lai.train", *TOY, *short, *names], {})
        assert status == 0, output
        for name in ("lai-tiny", "lai-mini", "lai-quickstart"):
            (self.folder / "models" / f"{name}.bin").write_bytes((self.folder / "models/lai-nano.bin").read_bytes())
        vocab = next((self.folder / "outputs" / "cache").glob("vocab*.bin"))
        for name in ("toy/vocab.bin", "data/vocab.bin"):
            (self.folder / name).write_bytes(vocab.read_bytes())

    def run(self, command: Command) -> str | None:
        """What is wrong with a command; None where it works. What has worked once is not run again."""
        bare = re.sub(r"\s+# .*", "", command.text)
        wrong = None if bare in self._passed else self._run(command)
        if wrong is None:
            self._passed.add(bare)
        return wrong

    def _run(self, command: Command) -> str | None:
        text = command.text.replace("<date>", "date").replace("<time>", "time")
        words = shlex.split(text, comments=True)
        if not self.engine.is_file() and ("build/lai" in text or "evaluate" in text):
            return None  # `make test` builds it first
        environment = dict(words.pop(0).split("=", 1) for _ in range(len(words)) if re.match(r"[A-Z_]+=", words[0]))
        if words[0] in PLAIN:
            done = self._start(["bash", "-c", text])
        elif words[0] == "make":
            done = self._start(["make", "-n", "-C", str(ROOT), *words[1:]])  # says what it would do
        elif words[0] == "build/lai":
            tools = {"--info", "--tokenize", "--perplexity", "--bench"} & set(words)
            done = self._start([*words, *([] if tools else LONG["lai"].split())])
        elif program := python_program(words):
            name, arguments = program
            if name == "train" and "--help" not in words:
                self._runs += 1
                arguments += shortened_training(words, self._runs)
            elif name in LONG:
                arguments += LONG[name].split() + (["--losses", "20"] if "--losses" in words else [])
            done = self.python.run(arguments, environment)
            if done[0] == STATUS.get(name, 0):
                return None
        else:
            return f"{command}\nis neither run by this test nor listed in NOT_RUN"
        status, output = done
        return None if status == 0 else f"{command}\nended with {status}:\n{output[-2000:]}"

    def _start(self, words: list[str]) -> tuple[int, str]:
        done = subprocess.run(words, cwd=self.folder, input="Hello!\n", capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout + done.stderr


def python_program(words: list[str]) -> tuple[str, list[str]] | None:
    """The short name and the arguments of Python for `python …` and for LAi's console scripts.

    `lai-check-data …` and `python scripts/check_data.py …` are both `check_data`.
    """
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    if (name := Path(words[0]).name) in scripts:
        module, function = scripts[name].split(":")
        code = f"import sys; sys.argv[0] = '{name}'; from {module} import {function}; sys.exit({function}())"
        return name.removeprefix("lai-").replace("-", "_"), ["-c", code, *words[1:]]
    if Path(words[0]).name != "python":
        return None
    if words[1] == "-m":
        return words[2].rpartition(".")[2], words[1:]
    return (Path(words[1]).stem, words[1:]) if words[1].startswith("scripts/") else None


def shortened_training(words: list[str], number: int) -> list[str]:
    """The overrides that make any run one of a toy model and a few steps, in folders of its own."""
    given = {word.lstrip("+").partition("=")[0] for word in words}
    overrides = [*TOY, "trainer.max_steps=4"]
    if "init_from" in given:  # shape and vocabulary follow
        overrides = [one for one in overrides if not one.startswith(("model.", "data.vocab_size="))]
    # Other text than the checkpoint's would have other words.
    if not {"data.path", "data.sources"} & given or "ckpt_path" in given:
        overrides.append("data.path=toy/text.txt")
    if not {"data.vocab_path", "init_from"} & given:
        overrides.append("data.vocab_path=toy/vocab.bin")
    if "sweep.resume" in given:  # all else comes from the ledger
        return []
    if {"-m", "--multirun"} & set(words[1:] if Path(words[0]).name == "lai-train" else words[3:]):
        return [*overrides, *([] if "hydra.sweep.dir" in given else [f"hydra.sweep.dir=outputs/sweep{number}"])]
    return [*overrides, f"hydra.run.dir=outputs/run{number}", f"export.path=models/run{number}.bin"]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    made = Checkout(tmp_path_factory.mktemp("checkout"))
    yield made
    made.python.close()


def is_run(command: Command) -> bool:
    return not matches(NOT_RUN, command.text) and not (is_training(command) and matches(COMPOSED, command.text, True))


def is_training(command: Command) -> bool:
    return re.search(r"\blai\.train |\blai-train ", command.text) is not None


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_work(page, checkout):
    wrong = [checkout.run(command) for command in commands(page) if is_run(command)]
    assert not any(wrong), "\n\n".join(filter(None, wrong))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_of_training_commands_are_valid(page, compose_run):
    """As they are printed, where they need a device or a network that this machine may lack."""
    for command in filter(is_training, commands(page)):
        words = shlex.split(command.text, comments=True)
        if not is_run(command) or re.search(ELSEWHERE, command.text):
            compose_run(*(word for word in words[1:] if "=" in word))


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.name)
def test_python_examples_work(page, checkout):
    for _, block in blocks(page, "python"):
        status, output = checkout.python.run(["-c", block], {})
        assert status == 0, f"{block}\n{output}"


@pytest.mark.parametrize("name", ["generate_data", "build_vocab", "check_data", "evaluate", "export"])
def test_a_program_has_two_names(name):
    console = python_program([f"lai-{name.replace('_', '-')}", "--help"])
    script = python_program(["python", f"scripts/{name}.py", "--help"])
    assert console is not None and script is not None
    assert console[0] == script[0] == name and console[1][-1] == script[1][-1] == "--help"


def test_an_unknown_command_is_reported(checkout, tmp_path):
    for text in (
        "frobnicate --all",
        "lai-nothing",
        "python tools/new.py",
        "python -m lai.nothing",
        "make nothing",
        "cat nothing",
    ):
        assert checkout.run(Command(ROOT / "README.md", 1, text)), text


def test_the_guide_has_the_same_commands_in_both_languages():
    english, hungarian = ([re.sub(r"\s+# .*", "", one.text) for one in commands(page)] for page in GUIDES)
    assert hungarian == english


def test_the_guide_has_the_same_sections_and_pictures_in_both_languages():
    english, hungarian = (page.read_text(encoding="utf-8") for page in GUIDES)
    for pattern in (r"^(#+) ", r"^!\[.*\]\((?:\.\./)?(.*)\)$", r"^\| (?=---)"):
        assert re.findall(pattern, hungarian, re.MULTILINE) == re.findall(pattern, english, re.MULTILINE)


LINKING = [*ROOT.glob("*.md"), *(page for folder in ("docs", "benchmarks") for page in (ROOT / folder).rglob("*.md"))]


def anchors(page: Path) -> set[str]:
    """The names that links give to a page's headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", LINKING, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page):
    for link in re.findall(r"\]\(([^)\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not heading or heading in anchors(target), f"{page.name} links to {link}, which has no such heading"


@pytest.mark.parametrize("page", LINKING, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_in_the_text_exist(page):
    text = page.read_text(encoding="utf-8")
    if page.name == "extending.md":  # names new files, too, in its blocks and its first lines
        text = re.sub(r"^```.*?^```", "", text.partition("## ")[2], flags=re.MULTILINE | re.DOTALL)
    paths = re.findall(r"`((?:lai|conf|cpp|tests|docs|scripts|benchmarks|findings)/[\w./-]*)`", text)
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert not missing


def test_commands_leave_this_checkout_alone(checkout):
    assert os.path.realpath(checkout.folder / "outputs") == str(checkout.folder.resolve() / "outputs")
