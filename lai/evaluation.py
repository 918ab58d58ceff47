"""How many prompts of a test set a model answers exactly right, by PyTorch and by the engine."""

import json
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lai.data.synthetic import Prompt
from lai.data.vocab import Vocab
from lai.errors import UserError
from lai.files import atomic_write
from lai.generation import Sampling, chat_prompt, generate, stop_ids, stream_text
from lai.model.transformer import Transformer

GREEDY = Sampling(temperature=0, repeat_penalty=1)


@dataclass(frozen=True, slots=True)
class Score:
    """The prompts of one kind, and how many of them were answered exactly right."""

    task: str
    direction: str
    prompts: int
    exact: int


def scores(prompts: Sequence[Prompt], answers: Sequence[bytes]) -> list[Score]:
    """The scores of every task and direction, in the order in which they first occur."""
    kinds = dict.fromkeys((prompt.task, prompt.direction) for prompt in prompts)
    return [
        Score(
            *kind,
            sum((prompt.task, prompt.direction) == kind for prompt in prompts),
            sum(
                (prompt.task, prompt.direction) == kind and prompt.answer == answer
                for prompt, answer in zip(prompts, answers, strict=True)
            ),
        )
        for kind in kinds
    ]


def answers_of_pytorch(network: Transformer, vocab: Vocab, prompts: Iterable[Prompt], tokens: int) -> Iterator[bytes]:
    """The likeliest answer to each prompt, of at most so many tokens."""
    stop = stop_ids(vocab, raw=False)
    for prompt in prompts:
        ids = generate(network, chat_prompt(vocab, prompt.prompt), stop=stop, tokens=tokens, sampling=GREEDY)
        yield "".join(stream_text(vocab, ids)).encode()


def answers_of_engine(engine: Path, model: Path, prompts: Iterable[Prompt], tokens: int) -> Iterator[bytes]:
    """The same of the C++ engine, one process a prompt.

    Raises:
        UserError: the engine is not there or refuses the model.
    """
    greedy = ["--temp", "0", "--repeat-penalty", "1", "--tokens", str(tokens)]
    for prompt in prompts:
        command: list[str | bytes] = [str(engine), "-m", str(model), *greedy, "-p", prompt.prompt]
        try:
            done = subprocess.run(command, capture_output=True, check=False)
        except OSError as error:
            raise UserError(f"cannot run the engine {engine}: {error.strerror}; build it with make release") from None
        if done.returncode != 0:
            raise UserError(f"{engine}: {done.stderr.decode(errors='replace').strip()}")
        yield done.stdout.removesuffix(b"\n")


def write_prompts(path: Path, prompts: Iterable[Prompt]) -> None:
    """Write a test set as `.jsonl`: an object {task, direction, prompt, answer} a line."""
    with atomic_write(path) as file:
        for prompt in prompts:
            row = {key: value.decode() if isinstance(value, bytes) else value for key, value in asdict(prompt).items()}
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")


def read_prompts(path: Path) -> list[Prompt]:
    """Read a test set; `task` and `direction` may be missing.

    Raises:
        UserError: the file cannot be read, is empty, or a line is not such an object.
    """
    prompts: list[Prompt] = []
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the test set {path}: {error}") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            texts = [row.get("task", ""), row.get("direction", ""), row["prompt"], row["answer"]]
            task, direction, prompt, answer = texts
            if not prompt.strip() or "\0" in prompt:  # the engine takes prompts as arguments, and no empty one
                raise ValueError
            prompts.append(Prompt(str(task), str(direction), prompt.encode(), answer.encode()))
        except (ValueError, KeyError, AttributeError, TypeError):
            raise UserError(
                f'{path}:{number}: found {line[:60]!r}, expected an object like {{"prompt": "…", "answer": "…"}} '
                "with a prompt that is not empty"
            ) from None
    if not prompts:
        raise UserError(f"{path} holds no prompt; expected an object with prompt and answer a line")
    return prompts
