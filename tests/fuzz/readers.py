"""Changed files for the readers of Python: each must be read, or be refused by a UserError.

    python tests/fuzz/readers.py jsonl tmx --seconds 60

The inputs are small files of each kind, changed. The changes are drawn at random. With atheris, which
`make fuzz-python` fetches, the lines that they reach guide the changes of one reader. A find is written to the folder
that the last line names.
"""

import argparse
import atexit
import os
import random
import shutil
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

try:
    import atheris
except ImportError:
    atheris = None
    from contextlib import nullcontext as watched
else:

    def watched():
        return atheris.instrument_imports(include=["lai"])


with watched():
    import torch
    from engine_program import LEARNED, make_vocab, random_network
    from runs import example_lines

    from lai.data.sources.discovery import find_files
    from lai.data.sources.files import read_documents
    from lai.data.sources.reading import Reading
    from lai.export.checkpoint import Checkpoint
    from lai.export.gguf import write_gguf
    from lai.export.huggingface import write_huggingface
    from lai.export.lai_file import read_model, write_model
    from lai.export.packages import installed
    from lai.export.reading.source import read_stored
    from lai.export.vocab_file import load_vocab
    from lai.host.errors import UserError
    from lai.model.record import TrainingRecord
    from lai.model.transformer import ModelConfig
    from lai.tokenizer.train import learn_vocab

_FOLDER = Path(tempfile.mkdtemp(prefix="lai-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
_FOLDER_OF_ANOTHER = _FOLDER / "hf"
_CHAT = b'{"conversations": [{"from": "human", "value": "Szia!"}, {"from": "gpt", "value": "Hello!"}], "system": "x"}\n'
_UNIT = b'<tu><tuv xml:lang="en"><seg>a <bpt i="1"/>dog</seg></tuv><tuv xml:lang="hu"><seg>kutya</seg></tuv></tu>'
_WORDS = [
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\n",
    b"\r\n",
    b"\t",
    b'"',
    b"\\",
    b"\\ud800",
    b"{",
    b"[",
    b"null",
    b"1e999",
]
_WORDS += [
    b"<user>",
    b"</user>",
    b"<assistant>",
    b"<![CDATA[",
    b"&#0;",
    b"-1",
    b"\xff\xff\xff\xff",
    b"\x00" * 8,
    b"NaN",
]


@atexit.register
def _tidy() -> None:
    if not list(_FOLDER.glob("find-*")):
        shutil.rmtree(_FOLDER, ignore_errors=True)


def _models() -> Iterator[bytes]:
    vocab = make_vocab(LEARNED)
    for dtype in ("f32", "f16", "q8_0", "q4_0"):
        size = len(vocab)
        config = ModelConfig(
            dim=32, hidden_dim=32, n_layers=1, n_heads=2, n_kv_heads=1, vocab_size=size, max_seq_len=16
        )
        write_model(_FOLDER / "m.bin", config, random_network(config).state_dict(), vocab, dtype)
        data = bytearray((_FOLDER / "m.bin").read_bytes())
        data[65:77] = bytes(12)  # without the checksum: no change would match it
        yield bytes(data)


def _read_model(path: Path) -> None:
    model = read_model(path)
    if model.config.max_seq_len <= 4096:
        network = model.build()
        with torch.inference_mode():
            network(torch.tensor([[1, 100]][: model.config.max_seq_len]))


def _other_files(name: str) -> Iterator[bytes]:
    """A toy model's file of another program: `m.gguf`, or a file of the Hugging Face folder, which is kept."""
    vocab = learn_vocab((line.encode() for line in example_lines(60)), vocab_size=310, min_freq=1)
    config = ModelConfig(
        dim=32, hidden_dim=32, n_layers=1, n_heads=2, n_kv_heads=1, vocab_size=len(vocab), max_seq_len=16
    )
    model = Checkpoint(config, vocab, random_network(config).state_dict(), TrainingRecord(steps=3))
    if name == "m.gguf":
        for dtype in ("f32", "bf16", "q4_0"):
            write_gguf(_FOLDER / name, model, dtype)
            yield (_FOLDER / name).read_bytes()
        return
    _FOLDER_OF_ANOTHER.mkdir(exist_ok=True)
    write_huggingface(_FOLDER_OF_ANOTHER, model)
    yield (_FOLDER_OF_ANOTHER / name).read_bytes()


def _read_other(path: Path) -> None:
    """Read a GGUF file, or the folder with this file of it."""
    if path.suffix != ".gguf":
        shutil.copy(path, _FOLDER_OF_ANOTHER / path.name)
    model = read_stored(path if path.suffix == ".gguf" else _FOLDER_OF_ANOTHER)
    if model.config.max_seq_len <= 4096:
        with torch.inference_mode():
            model.build()(torch.tensor([[1, 100]][: model.config.max_seq_len]))


def _read_data(path: Path) -> None:
    for reading in (Reading(), Reading(bad_rows="skip"), Reading(columns={"en": "en", "hu": "hu"})):
        with suppress(UserError):
            for _ in read_documents(find_files(path, reading), reading=reading):
                pass


Target = tuple[str, Callable[[Path], object], Callable[[], list[bytes]]]
TARGETS: dict[str, Target] = {
    "model": ("x.bin", _read_model, lambda: list(_models())),
    "safetensors": ("model.safetensors", _read_other, lambda: list(_other_files("model.safetensors"))),
    "config": ("config.json", _read_other, lambda: list(_other_files("config.json"))),
    **({"gguf": ("m.gguf", _read_other, lambda: list(_other_files("m.gguf")))} if installed("gguf") else {}),
    "vocabulary": ("x.bin", load_vocab, lambda: [make_vocab(LEARNED).to_bytes()]),
    "txt": ("x.txt", _read_data, lambda: [b"<user>a</user><assistant>b</assistant>\nszia\n", b"a\n<|endoftext|>\nb\n"]),
    "jsonl": (
        "x.jsonl",
        _read_data,
        lambda: [
            b'{"text": "a"}\n{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n',
            b'{"instruction": "a", "input": "", "output": "b"}\n{"translation": {"en": "dog", "hu": "kutya"}}\n',
        ],
    ),
    "sharegpt": ("x.jsonl", _read_data, lambda: [_CHAT, _CHAT * 2]),
    "json": ("x.json", _read_data, lambda: [b"[" + _CHAT + b"]", b'{"data": [{"text": "a"}]}', b'{"text": "a"} ' * 2]),
    "tsv": ("x.tsv", _read_data, lambda: [b"dog\tkutya\n" * 3, b"1\teng\tdog\t2\thun\tkutya\n" * 3, b"en\thu\na\tb\n"]),
    "csv": (
        "x.csv",
        _read_data,
        lambda: [b'en,hu\n"a ""b""",c\n', b"sep=;\nsource;target\ndog;kutya\n", b"1|eng|dog\n"],
    ),
    "tmx": (
        "x.tmx",
        _read_data,
        lambda: [
            b'<?xml version="1.0" encoding="UTF-8"?><tmx version="1.4"><body>' + _UNIT * 2 + b"</body></tmx>",
            ("<tmx><body>" + _UNIT.decode() + "</body></tmx>").encode("utf-16"),
        ],
    ),
}


def changed(data: bytes, others: list[bytes], draw: random.Random) -> bytes:
    """The data after one to eight random changes."""
    for _ in range(draw.randint(1, 8)):
        at = draw.randint(0, len(data))
        to = min(len(data), at + draw.choice((1, 2, 4, 8, 64, 1024)))
        match draw.randrange(7):
            case 0:
                data = (
                    data[:at] + bytes([data[at] ^ (1 << draw.randrange(8))]) + data[at + 1 :]
                    if at < len(data)
                    else data
                )
            case 1:
                data = data[:at] + data[to:]
            case 2:
                data = data[:to] + data[at:]
            case 3:
                data = data[:at] + draw.choice(_WORDS) + data[at:]
            case 4:
                data = data[:at] + draw.choice(_WORDS) + data[to:]
            case 5:
                other = draw.choice(others)
                data = data[:at] + other[draw.randint(0, len(other)) :]
            case 6:
                number = struct.pack("<I", draw.choice((0, 1, 255, 2**15, 2**24, 2**31 - 1, 2**32 - 1)))
                data = data[:at] + number + data[at + 4 :]
    return data


def check(name: str, data: bytes) -> None:
    """Read the data as a file of this kind; any other error than a UserError is a find."""
    file, read, _ = TARGETS[name]
    path = _FOLDER / file
    path.write_bytes(data)
    with suppress(UserError):
        read(path)


def check_and_keep(name: str, data: bytes) -> None:
    """The same; a find is kept in a file."""
    try:
        check(name, data)
    except BaseException:
        (_FOLDER / f"find-{name}").write_bytes(data)
        print(f"{name}: a find in {_FOLDER}", flush=True)
        raise


def draw_at_random(name: str, seconds: float, seed: int, most: float = float("inf")) -> int:
    """Read changed files for so long, or so many. Returns how many."""
    draw, inputs, count = random.Random(seed), TARGETS[name][2](), 0
    end = time.monotonic() + seconds
    while time.monotonic() < end and count < most:
        check_and_keep(name, changed(draw.choice(inputs), inputs, draw))
        count += 1
    return count


def guide_by_coverage(name: str, seconds: float, seed: int, most: float) -> None:
    """Read changed files for so long, or so many, by atheris; then end the program."""
    inputs = _FOLDER / "inputs"
    inputs.mkdir()
    for number, data in enumerate(TARGETS[name][2]()):
        (inputs / str(number)).write_bytes(data)
    count, end = 0, time.monotonic() + seconds

    def read(data: bytes) -> None:
        nonlocal count
        if time.monotonic() > end or count >= most:
            print(f"{name}: {count:,} files with atheris, no find", flush=True)
            _tidy()
            os._exit(0)  # libFuzzer's own end leaves the folder behind
        check_and_keep(name, data)
        count += 1

    flags = [
        "-max_len=65536",
        "-len_control=0",
        "-timeout=60",
        "-verbosity=0",
        f"-seed={seed + 1}",
        f"-artifact_prefix={_FOLDER}/find-",
    ]
    atheris.Setup([sys.argv[0], *flags, str(inputs)], read)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"the readers: {', '.join(TARGETS)} (default: all)")
    parser.add_argument("--seconds", type=float, default=30, help="for each reader (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the random changes (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=float("inf"), help="at most so many files for each reader")
    options = parser.parse_args()
    torch.set_num_threads(1)
    names = options.names or list(TARGETS)
    if atheris is not None and len(names) == 1:
        guide_by_coverage(names[0], options.seconds, options.seed, options.runs)
    for name in names:
        count = draw_at_random(name, options.seconds, options.seed, options.runs)
        print(f"{name}: {count:,} files, no find", flush=True)


if __name__ == "__main__":
    main()
