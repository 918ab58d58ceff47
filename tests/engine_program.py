"""The engine's program as tests run it, and random models to run it on."""

import json
import os
import pty
import select
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from lai.model.transformer import ModelConfig, Transformer
from lai.tokenizer.bpe import NEVER
from lai.tokenizer.chat import CHAT_TAGS
from lai.tokenizer.vocab import CONTROL_TOKENS, TAG_PREFIXES, Vocab

ROOT = Path(__file__).parents[1]

LEARNED = [
    *(b"th", b"he", b"the", b"in", b"an", b"ing", b"ll", b"el", b"hell", b"ello", b"hello", b" w", b"or", b"wor"),
    *(b" wor", b"ld", b"a", b"aa", b"aaaa", b"ab", b" a", b" the", b" th", b"  ", b"<u", b"se", b"</", b"zz", b"--"),
    *(token.encode() for token in ("á", "é", "ő", "sz", "gy", "nek", "ban", "ár", "víz", "🙂", "e\u0301", "▁")),
]


def build_engine() -> Path:
    """Build the program as `make release` does; what is built already is not built again."""
    cmake = shutil.which("cmake", path=os.pathsep.join((os.environ["PATH"], str(ROOT / ".venv" / "bin"))))
    if cmake is None or shutil.which(os.environ.get("CXX", "g++")) is None:
        pytest.skip("the engine cannot be built: cmake or g++ is not installed")
    folder = ROOT / "build" / "cmake"
    configure = [cmake, "-S", str(ROOT / "cpp"), "-B", str(folder), "-DCMAKE_BUILD_TYPE=Release"]
    configure.append(f"-DLAI_OUTPUT_DIR={ROOT / 'build'}")
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "tests.lock"):  # tests run in several processes
        for command in (configure, [cmake, "--build", str(folder), "-j2", "--target", "lai"]):
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / "build" / "lai"


class Engine:
    """Runs the program and gives what it prints."""

    def __init__(self, program: Path) -> None:
        self.program = program

    def run(self, *arguments, stdin=b"", kernels=None):
        environment = {name: value for name, value in os.environ.items() if name != "LAI_KERNELS"}
        if kernels is not None:
            environment["LAI_KERNELS"] = kernels
        command = [self.program, *(str(part) if isinstance(part, int | float) else part for part in arguments)]
        return subprocess.run(command, input=stdin, capture_output=True, timeout=120, env=environment)

    def output(self, *arguments, stdin=b"", kernels=None) -> bytes:
        done = self.run(*arguments, stdin=stdin, kernels=kernels)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def json(self, *arguments, stdin=b"", kernels=None):
        return json.loads(self.output(*arguments, "--json", stdin=stdin, kernels=kernels))

    def error(self, *arguments, stdin=b"", kernels=None) -> str:
        """The line with which the program refuses what it is given."""
        done = self.run(*arguments, stdin=stdin, kernels=kernels)
        line = done.stderr.decode()
        assert done.returncode == 2, (done.returncode, line)
        assert line.startswith("error: ") and line.count("\n") == 1 and line.endswith("\n"), line
        return line

    def kernel_sets(self) -> list[str]:
        """The kernel sets that this machine can run."""
        return self.error("--bench", kernels="none").strip().split("can run ")[1].split(", ")


class Terminal:
    """The engine's chat on a pseudo-terminal."""

    def __init__(self, engine, *arguments):
        self.process, self.descriptor = pty.fork()
        if self.process == 0:
            os.execv(engine.program, [str(engine.program), *map(str, arguments)])

    def read(self, seen=b""):
        ready, _, _ = select.select([self.descriptor], [], [], 30)
        assert ready, f"nothing more came after {seen!r}"
        return os.read(self.descriptor, 1 << 16)

    def read_until(self, text):
        seen = b""
        while text not in seen:
            seen += self.read(seen)
        return seen

    def read_prompt(self):
        """Read up to the prompt for the next line."""
        seen = b""
        while not seen.endswith(b"\n> "):
            seen += self.read(seen)
        return seen

    def send(self, line):
        os.write(self.descriptor, line.encode() + b"\n")

    def wait(self):
        try:
            while self.read():
                pass
        except OSError:
            pass
        os.close(self.descriptor)
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])

    def leave(self):
        """Send Ctrl-D; the program must exit with 0."""
        os.write(self.descriptor, b"\x04")
        assert self.wait() == 0


def make_vocab(learned) -> Vocab:
    """Control tokens, bytes, learned tokens with falling scores, tags with their beginnings."""
    markup = (*TAG_PREFIXES, *CHAT_TAGS)
    tokens = (*CONTROL_TOKENS, *(bytes([byte]) for byte in range(256)), *learned, *markup)
    scores = [NEVER] * 4 + [-100.0] * 256 + [-float(rank) for rank in range(len(learned))]
    return Vocab(tokens, scores + [1000.0 + len(tag) for tag in markup])


def random_network(config: ModelConfig, seed: int = 0) -> Transformer:
    """A network whose logits spread as a trained one's do, so that greedy choices are no near ties; it never stops."""
    torch.manual_seed(seed)
    network = Transformer(config).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim == 1:
                parameter.uniform_(0.5, 1.5)
            elif name in ("token_embed.weight", "output.weight"):
                parameter.normal_(std=0.5)
                parameter[Vocab.EOS] = 0
            else:
                parameter.normal_(std=1.5 / parameter.shape[1] ** 0.5)
    return network
