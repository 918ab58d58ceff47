"""`python -m lai.generate -m FILE -p TEXT`: run an exported model in PyTorch, with the engine's options."""

import argparse
import codecs
import sys
from pathlib import Path

import torch

from lai.export.lai_file import read_model
from lai.host.cli import run_program, whole_number
from lai.host.errors import UserError
from lai.inference.sampling import (
    Sampling,
    chat_prompt,
    generate,
    raw_prompt,
    stop_ids,
    stream_text,
    translation_prompt,
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lai.generate", description=__doc__)
    parser.add_argument("-m", "--model", default="models/lai-tiny.bin", help="the model file (default: %(default)s)")
    prompt = parser.add_mutually_exclusive_group()
    prompt.add_argument("-p", "--prompt", metavar="TEXT", help="a chat turn: TEXT as the user")
    prompt.add_argument("-t", "--translate", metavar="TEXT", help="translate TEXT from English to Hungarian")
    prompt.add_argument("--to-en", metavar="TEXT", help="translate TEXT from Hungarian to English")
    prompt.add_argument("-f", "--file", metavar="FILE", help="read the prompt from FILE (-: standard input)")
    parser.add_argument("--raw", action="store_true", help="continue the text as it is; tags in it are markup")
    parser.add_argument("--temp", type=float, default=0.7, help="temperature; 0: greedy (default: %(default)s)")
    parser.add_argument("--top-k", type=whole_number(0), default=40, help="0: all tokens (default: %(default)s)")
    parser.add_argument("--top-p", type=float, default=0.9, help="(default: %(default)s)")
    parser.add_argument("--repeat-penalty", type=float, default=1.1, help="1: none (default: %(default)s)")
    parser.add_argument("--tokens", type=whole_number(0), default=256, help="at most so many (default: %(default)s)")
    parser.add_argument("--seed", type=whole_number(0), help="the same seed gives the same text")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps (default: %(default)s)")
    return parser


def _prompt_text(options: argparse.Namespace) -> bytes:
    """What is to be answered, translated or continued, as bytes.

    Raises:
        UserError: there is none, or a blank one; `--raw -p ''` alone has a meaning: a text from its beginning.
    """
    given = next((text for text in (options.prompt, options.translate, options.to_en) if text is not None), None)
    text = _text_of(options.file) if given is None else given.encode("utf-8", "surrogateescape")
    is_blank = not text.strip()
    if options.raw:
        is_blank = given is None and not text
    if is_blank:
        raise UserError("the prompt is empty; give one with -p, -f or on standard input")
    return text


def _text_of(source: str | None) -> bytes:
    if source is None and sys.stdin.isatty():
        raise UserError("there is nothing to answer: give a prompt with -p, -t, --to-en, -f or on standard input")
    if source in (None, "-"):
        text = sys.stdin.buffer.read()
    else:
        try:
            text = Path(source).read_bytes()
        except OSError as error:
            raise UserError(f"cannot read the prompt file {source}: {error.strerror}") from None
    # Editors put a byte order mark in front and ends of lines behind.
    return text.removeprefix(codecs.BOM_UTF8).rstrip(b"\r\n")


def main() -> int:
    options = _parser().parse_args()
    sampling = Sampling(options.temp, options.top_k, options.top_p, options.repeat_penalty)
    model = read_model(options.model)
    vocab = model.vocab
    try:
        network = model.build().to(torch.device(options.device))
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {options.device}: {str(error).splitlines()[0]}") from None
    if options.raw and (options.translate is not None or options.to_en is not None):
        raise UserError("--raw continues a text as it is; it does not go with -t or --to-en")
    text = _prompt_text(options)
    if options.translate is not None or options.to_en is not None:
        prompt = translation_prompt(vocab, text, to_english=options.to_en is not None)
    elif options.raw:
        prompt = raw_prompt(vocab, text)
    else:
        prompt = chat_prompt(vocab, text)
    note = model.training.note(len(vocab))
    if note is not None and sys.stderr is not None and sys.stderr.isatty():
        print(note, file=sys.stderr)
    stop = stop_ids(vocab, options.raw)
    ids = generate(network, prompt, stop=stop, tokens=options.tokens, sampling=sampling, seed=options.seed)
    for piece in stream_text(vocab, ids):
        print(piece, end="", flush=True)
    print()
    return 0


if __name__ == "__main__":
    run_program(main)
