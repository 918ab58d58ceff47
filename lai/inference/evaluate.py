"""Evaluation: exact answers to the prompts of a test set, and the loss of each task against its floor."""

import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BytesIO, TextIOWrapper
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence

from lai.data.synthetic import Example, Prompt
from lai.data.tokens.token_file import encode_documents
from lai.host.errors import UserError
from lai.host.files import MAX_TEXT, atomic_write, read_at_most
from lai.inference.sampling import chat_prompt, greedy_answers, stop_ids, stream_text
from lai.model.transformer import Transformer
from lai.tokenizer.folding import fold_text
from lai.tokenizer.targets import IGNORE_INDEX
from lai.tokenizer.vocab import Vocab

_BATCH = 32  # documents whose loss is computed at once
_PROMPTS_AT_ONCE = 16  # answered together: half a minute at most until Ctrl-C has something to show


@dataclass(frozen=True, slots=True)
class Score:
    """The number of prompts of one task and direction, and of exactly right answers to them."""

    task: str
    direction: str
    prompts: int
    exact: int


@dataclass(frozen=True, slots=True)
class TaskLoss:
    """The loss of one task's documents in nats a document: the model's, and the generator's, which is the floor."""

    task: str
    documents: int
    loss: float
    floor: float


def task_losses(network: Transformer, vocab: Vocab, examples: Sequence[Example]) -> list[TaskLoss]:
    """The losses of every task, the most frequent task first.

    The mean of `loss` over all documents, divided by their mean number of tokens, is what training calls `val/loss`.

    Raises:
        UserError: a document is longer than the model's context.
    """
    nats = _document_losses(network, vocab, examples)
    tasks = Counter(example.task for example in examples)
    return [
        TaskLoss(
            task,
            count,
            sum(loss for example, loss in zip(examples, nats, strict=True) if example.task == task) / count,
            -sum(example.log_prob for example in examples if example.task == task) / count,
        )
        for task, count in tasks.most_common()
    ]


@torch.inference_mode()
def _document_losses(network: Transformer, vocab: Vocab, examples: Sequence[Example]) -> list[float]:
    """The negative log-likelihood of each document by itself, with its `<eos>`, in nats."""
    tokens, lengths = encode_documents([example.document for example in examples], vocab)
    documents = np.split(tokens.astype(np.int64), np.cumsum(lengths)[:-1])
    if lengths.max() - 1 > network.config.max_seq_len:
        raise UserError(
            f"a document has {lengths.max()} tokens, expected at most the model's context, {network.config.max_seq_len}"
        )
    losses: list[float] = []
    for first in range(0, len(documents), _BATCH):
        batch = [torch.from_numpy(document) for document in documents[first : first + _BATCH]]
        # Attention is causal, so the padding behind the shorter documents changes nothing.
        inputs = pad_sequence([document[:-1] for document in batch], batch_first=True, padding_value=Vocab.PAD)
        targets = pad_sequence([document[1:] for document in batch], batch_first=True, padding_value=IGNORE_INDEX)
        logits = network(inputs).float().transpose(1, 2)  # (B, vocab_size, T)
        losses += F.cross_entropy(logits, targets, ignore_index=IGNORE_INDEX, reduction="none").sum(1).tolist()
    return losses


def scores(prompts: Sequence[Prompt], answers: Sequence[bytes]) -> list[Score]:
    """The scores of every task and direction, in the order in which they first occur."""
    kinds = dict.fromkeys((prompt.task, prompt.direction) for prompt in prompts)
    return [
        Score(
            *kind,
            sum((prompt.task, prompt.direction) == kind for prompt in prompts),
            sum(
                (prompt.task, prompt.direction) == kind and is_right(prompt.answer, answer)
                for prompt, answer in zip(prompts, answers, strict=True)
            ),
        )
        for kind in kinds
    ]


def is_right(right: bytes, answer: bytes) -> bool:
    """Whether an answer is the right one, as the test set has it or folded, as a model of folded text answers."""
    return answer in (right, fold_text(right))


def longest_answer(right: bytes, tokens: int) -> int:
    """The number of tokens after which an answer is known not to be `right`, at most `tokens`.

    A token has at least one byte: an answer of more tokens than the right one has bytes is wrong. The additional token
    shows whether the answer ends.
    """
    return min(tokens, len(right) + 1)


def answers_of_pytorch(
    network: Transformer, vocab: Vocab, prompts: Iterable[Prompt], tokens: int, fold: bool = True
) -> Iterator[bytes]:
    """The greedy answer to each prompt, of at most `tokens` and at most `longest_answer` tokens.

    Args:
        fold: fold the prompts, as the engine does (`chat_prompt`).
    """
    stop = stop_ids(vocab, raw=False)
    waiting = iter(prompts)
    threads = fastest_threads(network)
    while batch := list(islice(waiting, _PROMPTS_AT_ONCE)):
        asked = [chat_prompt(vocab, prompt.prompt, fold=fold) for prompt in batch]
        most = [longest_answer(prompt.answer, tokens) for prompt in batch]
        with torch_threads(threads):
            answered = greedy_answers(network, asked, stop=stop, tokens=most)
        for ids in answered:
            yield "".join(stream_text(vocab, iter(ids))).encode()


def fastest_threads(network: Transformer) -> int:
    """The number of threads, one or all of PyTorch's, that is faster for a step of many prompts.

    Threads wait for each other in every matmul. While another program is busy, all threads are many times slower than
    one.
    """
    most = torch.get_num_threads()
    tokens = torch.zeros((_PROMPTS_AT_ONCE, 1), dtype=torch.long, device=network.token_embed.weight.device)
    times: dict[int, float] = {}
    with torch.inference_mode():
        for threads in (1, most):
            with torch_threads(threads):
                network(tokens)  # the first pass takes longer
                begun = time.perf_counter()
                network(tokens)
                times[threads] = time.perf_counter() - begun
    return min(times, key=lambda threads: times[threads])


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let PyTorch use so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def answers_of_engine(engine: Path, model: Path, prompts: Iterable[Prompt], tokens: int) -> Iterator[bytes]:
    """The same answers from the C++ engine, one process a prompt.

    Raises:
        UserError: the engine is not built or refuses the model.
    """
    for prompt in prompts:
        command = greedy_command(engine, model, longest_answer(prompt.answer, tokens))
        yield run_engine(engine, [*command, "-p", prompt.prompt]).removesuffix(b"\n")


def greedy_command(engine: Path, model: Path, tokens: int) -> list[str | bytes]:
    """The engine's command line for greedy answers of at most `tokens` tokens, without a prompt."""
    program = engine.absolute() if engine.is_file() else engine  # a bare name is looked up on the PATH only
    return [str(program), "-m", str(model), "--temp", "0", "--repeat-penalty", "1", "--tokens", str(tokens)]


def run_engine(engine: Path, command: Sequence[str | bytes]) -> bytes:
    """What the engine prints.

    Raises:
        UserError: the engine is not built or refuses the command.
    """
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError as error:
        raise UserError(f"cannot run the engine {engine}: {error.strerror}; build it with make release") from None
    if done.returncode != 0:
        raise UserError(f"{engine}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def write_prompts(path: Path, prompts: Iterable[Prompt]) -> None:
    """Write a test set as `.jsonl`: one object {task, direction, prompt, answer} a line."""
    with atomic_write(path) as file:
        for prompt in prompts:
            row = {key: value.decode() if isinstance(value, bytes) else value for key, value in asdict(prompt).items()}
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")


def _question(messages: list[dict[str, str]]) -> tuple[str, str]:
    """The question and the answer of a chat that has one of each."""
    question, answer = messages
    if (question["role"], answer["role"]) != ("user", "assistant"):
        raise ValueError
    return question["content"], answer["content"]


def read_prompts(path: Path) -> list[Prompt]:
    """Read a test set; `task` and `direction` may be missing.

    A row is {"prompt": …, "answer": …}, or {"messages": […]} of one question and its answer, as training reads it.

    Raises:
        UserError: the file cannot be read, is empty, or a line is not such an object.
    """
    prompts: list[Prompt] = []
    try:
        with path.open("rb") as file:  # a pipe is right here, too
            text = read_at_most(file, MAX_TEXT, str(path))
        lines = TextIOWrapper(BytesIO(text), encoding="utf-8-sig").read().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the test set {path}: {error}") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            prompt, answer = _question(row["messages"]) if "messages" in row else (row["prompt"], row["answer"])
            task, direction = row.get("task", ""), row.get("direction", "")
            if not fold_text(prompt.encode()) or "\0" in prompt:  # the engine takes prompts as arguments, none empty
                raise ValueError
            prompts.append(Prompt(str(task), str(direction), prompt.encode(), answer.encode()))
        except (ValueError, KeyError, AttributeError, TypeError):
            raise UserError(
                f'{path}:{number}: found {line[:60]!r}, expected an object like {{"prompt": "…", "answer": "…"}} '
                "with a prompt that is not empty, or messages of one question and its answer"
            ) from None
    if not prompts:
        raise UserError(f"{path} holds no prompt; expected an object with prompt and answer a line")
    return prompts
