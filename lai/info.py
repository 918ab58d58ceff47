"""Show what one of LAi's files or folders holds: a model, a vocabulary, a run or token files."""

import json
from pathlib import Path

from lai.export.lai_file import is_model_file, read_model
from lai.export.reading import gguf_content
from lai.export.reading.source import is_huggingface, read_stored
from lai.export.reading.stored import NO_TEXT
from lai.host.cli import run_program
from lai.host.console import printable
from lai.host.errors import UserError
from lai.host.files import open_regular, read_json, read_regular
from lai.model import manifest
from lai.model.transformer import ModelConfig
from lai.programs.arguments import argument_parser
from lai.tokenizer.vocab import Vocab

Rows = list[tuple[str, object]]


def main() -> None:
    """The entry point of `lai-info`."""
    run_program(_info)


def _info() -> int:
    parser = argument_parser(__doc__)
    parser.add_argument("file", type=Path, help="the file, or the folder of a run, of transformers or of token files")
    rows = describe(parser.parse_args().file)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(printable(f"{name:<{width}}  {value}"))
    return 0


def describe(path: Path) -> Rows:
    """The facts about a file, as (name, value) rows.

    Raises:
        UserError: the file is missing, damaged or not a file of LAi.
    """
    if path.is_dir():
        if (path / manifest.NAME).is_file():
            return _run(path / manifest.NAME)
        return _stored(path) if is_huggingface(path) else _token_files(path)
    with open_regular(path) as file:
        start = file.read(4)
    if is_model_file(path):
        return _model(path)
    if start[:2] == b"PK" or start == gguf_content.MAGIC:
        return _stored(path)
    if path.name == manifest.NAME:
        return _run(path)
    if path.name == "meta.json":
        return _token_files(path.parent)
    if start == b"VIAL":
        return [("kind", "vocabulary"), *_vocab_rows(Vocab.load(path))]
    raise UserError(
        f"{path} is not a file of LAi: expected a model (.bin, .gguf), a vocabulary (vocab.bin), a checkpoint "
        f"(.ckpt), a run (run.json), a Hugging Face folder or token files, found one that starts with {start!r}"
    )


def _model(path: Path) -> Rows:
    model = read_model(path)
    return [
        ("kind", f"model, format version {model.version}"),
        ("weight dtype", model.dtype),
        ("file size", f"{model.file_size:,} bytes"),
        ("checksum", f"{model.checksum:08x}, matches" if model.checksum else "none"),
        *_config_rows(model.config),
        *model.training.facts(),
        *_vocab_rows(model.vocab),
        *_manifest_rows(model.manifest),
    ]


def _stored(path: Path) -> Rows:
    """A checkpoint, a GGUF file or a Hugging Face folder."""
    model = read_stored(path)
    numbers = sum(tensor.numel() for tensor in model.weights.values())
    return [
        ("kind", model.kind),
        *([("weight dtype", model.dtype)] if model.kind != "checkpoint" else []),
        *_config_rows(model.config),
        ("weights stored", f"{numbers:,}"),
        *model.training.facts(),
        *([("vocabulary", f"none: it {NO_TEXT}")] if model.vocab is None else _vocab_rows(model.vocab)),
        *_manifest_rows(model.manifest),
    ]


def _run(path: Path) -> Rows:
    return [("kind", "run"), *manifest.rows(manifest.from_json(read_regular(path, manifest.MAX_SIZE), str(path)))]


def _manifest_rows(content: manifest.Content | None) -> Rows:
    if content is None:
        return [("manifest", "none: the file is of an earlier version, or of another program")]
    return [("manifest", "what the run has recorded of itself:"), *manifest.rows(content)]


def _config_rows(config: ModelConfig) -> Rows:
    total, inner = config.parameter_counts()
    return [
        *config.to_dict().items(),
        ("parameters", f"{total:,} ({inner:,} without the embedding)"),
        ("memory as float32", f"{4 * total / 1e6:.1f} MB"),
    ]


def _vocab_rows(vocab: Vocab) -> Rows:
    longest = max(range(len(vocab)), key=lambda index: vocab.byte_lengths[index])
    return [
        ("vocabulary", f"{len(vocab):,} tokens"),
        ("longest token", repr(vocab.decode([longest]).decode("utf-8", "replace"))),
        ("vocabulary SHA-256", vocab.fingerprint),
    ]


def _token_files(folder: Path) -> Rows:
    try:
        meta = read_json(folder / "meta.json")
        if not isinstance(meta, dict):
            raise ValueError
    except ValueError:
        raise UserError(f"{folder} is not a folder of token files: it has no readable meta.json") from None
    return [("kind", "token files"), *((key, json.dumps(value, ensure_ascii=False)) for key, value in meta.items())]


if __name__ == "__main__":
    main()
