"""Answer a prompt with a model in PyTorch; the options are the engine's."""

import argparse
import codecs
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from lai.export.reading.source import read_stored
from lai.host.cli import run_program, whole_number
from lai.host.console import printable
from lai.host.errors import UserError
from lai.host.files import MAX_TEXT, read_at_most
from lai.inference.conversation import Conversation
from lai.inference.sampling import (
    Sampling,
    generate,
    new_sampler,
    raw_prompt,
    stop_ids,
    stream_text,
    translation_request,
)
from lai.programs.arguments import argument_parser
from lai.tokenizer.folding import fold_text


def main() -> None:
    """The entry point of `lai-generate`."""
    run_program(_generate)


def _parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument(
        "-m",
        "--model",
        default="models/lai-tiny.bin",
        help="a model file, a checkpoint, a GGUF file, a Hugging Face folder or a run's folder (default: %(default)s)",
    )
    prompt = parser.add_mutually_exclusive_group()
    prompt.add_argument(
        "-p",
        "--prompt",
        metavar="TEXT",
        action="append",
        help="a chat turn: TEXT as the user; repeated: the turns of one conversation, each is answered",
    )
    prompt.add_argument("-t", "--translate", metavar="TEXT", help="translate TEXT from English to Hungarian")
    prompt.add_argument("--to-en", metavar="TEXT", help="translate TEXT from Hungarian to English")
    prompt.add_argument("-f", "--file", metavar="FILE", help="read the prompt from FILE (-: standard input)")
    parser.add_argument("--system", metavar="TEXT", help="a system prompt before the first turn")
    parser.add_argument(
        "--raw", action="store_true", help="continue the text as it is; chat tags in it are special tokens"
    )
    parser.add_argument(
        "--temp", metavar="T", type=float, default=0.7, help="temperature; 0 is greedy (default: %(default)s)"
    )
    parser.add_argument(
        "--top-k",
        metavar="K",
        type=whole_number(0),
        default=40,
        help="sample from the K likeliest tokens; 0 is all (default: %(default)s)",
    )
    parser.add_argument(
        "--top-p",
        metavar="P",
        type=float,
        default=0.9,
        help="sample from the likeliest tokens that make up this probability (default: %(default)s)",
    )
    parser.add_argument(
        "--repeat-penalty",
        metavar="X",
        type=float,
        default=1.1,
        help="make recent tokens less likely; 1 is off (default: %(default)s)",
    )
    parser.add_argument(
        "--tokens",
        metavar="N",
        type=whole_number(0),
        default=256,
        help="tokens of the answer at most (default: %(default)s)",
    )
    parser.add_argument("--seed", metavar="N", type=whole_number(0), help="the same seed gives the same text")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps (default: %(default)s)")
    return parser.parse_args()


def _prompt_texts(options: argparse.Namespace) -> list[bytes]:
    """The texts to answer, translate or continue, as bytes.

    Raises:
        UserError: there is none, or one is blank. Only `--raw -p ''` may be empty: it starts a text from nothing.
    """
    given = options.prompt or [text for text in (options.translate, options.to_en) if text is not None]
    texts = [text.encode("utf-8", "surrogateescape") for text in given] or [_text_of(options.file)]
    are_blank = [not given and not text if options.raw else not fold_text(text) for text in texts]
    if any(are_blank):
        raise UserError("the prompt is empty; give one with -p, -f or on standard input")
    return texts


def _check_options(options: argparse.Namespace) -> None:
    is_translation = options.translate is not None or options.to_en is not None
    if options.raw and is_translation:
        raise UserError("--raw continues a text as it is; leave it out with -t and --to-en")
    if options.raw and options.system is not None:
        raise UserError("--raw continues a text as it is; leave it out with --system")
    if options.raw and len(options.prompt or ()) > 1:
        raise UserError(f"--raw continues one text, but {len(options.prompt)} are given with -p")


def _text_of(source: str | None) -> bytes:
    if source in (None, "-") and sys.stdin is None:
        raise UserError("standard input is closed; give a prompt with -p, -t, --to-en or -f FILE")
    if source is None and sys.stdin.isatty():
        raise UserError("there is no prompt; give one with -p, -t, --to-en, -f or on standard input")
    if source in (None, "-"):
        text = read_at_most(sys.stdin.buffer, MAX_TEXT, "standard input")
    else:
        try:
            # A pipe is right here (`-f <(command)`, /dev/stdin): its end is awaited.
            with Path(source).open("rb") as file:
                text = read_at_most(file, MAX_TEXT, source)
        except OSError as error:
            raise UserError(f"cannot read the prompt file {source}: {error.strerror}") from None
    # Editors add a byte order mark at the start and line breaks at the end.
    return text.removeprefix(codecs.BOM_UTF8).rstrip(b"\r\n")


def _kept(ids: Iterator[int], kept: list[int]) -> Iterator[int]:
    """The ids as they come; `kept` gets them, too."""
    for index in ids:
        kept.append(index)
        yield index


def _generate() -> int:
    options = _parse_arguments()
    _check_options(options)
    sampling = Sampling(options.temp, options.top_k, options.top_p, options.repeat_penalty)
    model = read_stored(options.model)
    vocab = model.known_vocab()
    try:
        network = model.build().to(torch.device(options.device))
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {options.device}: {str(error).splitlines()[0]}") from None
    texts = _prompt_texts(options)
    note = model.training.note(len(vocab))
    if note is not None and sys.stderr is not None and sys.stderr.isatty():
        print(note, file=sys.stderr)
    stop = stop_ids(vocab, options.raw)
    sampler = new_sampler(sampling, options.seed)

    def answer(prompt: Sequence[int]) -> list[int]:
        found: list[int] = []
        ids = generate(network, prompt, stop=stop, tokens=options.tokens, sampler=sampler)
        for piece in stream_text(vocab, _kept(ids, found)):
            print(printable(piece), end="", flush=True)
        print()
        return found

    if options.raw:
        answer(raw_prompt(vocab, texts[0]))
        return 0
    system = None if options.system is None else options.system.encode("utf-8", "surrogateescape")
    conversation = Conversation(vocab, model.config.max_seq_len, model.training, options.tokens, system)
    for text in texts:
        if options.translate is not None or options.to_en is not None:
            text = translation_request(text, options.to_en is not None, fold=not model.training.unfolded)
        prompt, notes = conversation.ask(text)
        for line in notes:
            print(f"note: {line}", file=sys.stderr)
        conversation.answered(answer(prompt))
    return 0


if __name__ == "__main__":
    main()
