"""From data settings to what training reads: documents, then a vocabulary, then token files, each made once."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lai.data.cache import cached_file, fingerprint
from lai.data.corpus import CorpusCounts, find_files, read_documents
from lai.data.markup import render
from lai.data.progress import progress
from lai.data.shards import Shards, prepare_shards
from lai.data.vocab import Vocab
from lai.errors import UserError
from lai.files import atomic_write, file_digest

if TYPE_CHECKING:
    from lai.config import DataSettings

log = logging.getLogger(__name__)

_VOCAB_VERSION = 1
_HUB_VERSION = 1


@dataclass(frozen=True)
class Corpus:
    """What a run reads: where its text lies, its vocabulary, its token files."""

    files: list[Path]
    vocab: Vocab
    vocab_path: Path
    shards: Shards


def prepare_corpus(data: "DataSettings") -> Corpus:
    """Make or find everything that the `data` group asks for; what has not changed since it was made is used again.

    Raises:
        UserError: no such file, nothing to read, or something in the files that cannot be read.
    """
    cache = Path(data.cache_dir).expanduser()
    files = find_files(_paths(data, cache))
    vocab_path = Path(data.vocab_path).expanduser() if data.vocab_path else _trained_vocab(data, files, cache)
    vocab = Vocab.load(vocab_path)
    shards = prepare_shards(files, vocab, cache, val_fraction=data.val_fraction, split_seed=data.split_seed)
    return Corpus(files, vocab, vocab_path, shards)


def _paths(data: "DataSettings", cache: Path) -> Any:
    if data.path is not None:
        return data.path
    if data.source == "synthetic" and data.synthetic is not None:
        return _synthetic_file(asdict(data.synthetic), cache)
    if data.source == "hub" and data.hub is not None:
        return _hub_file(asdict(data.hub), cache)
    raise UserError(f"data.{data.source} is missing; data.source={data.source} needs its settings or a data.path")


def _synthetic_file(settings: Mapping[str, Any], cache: Path) -> Path:
    from lai.data import synthetic

    given = {key: value for key, value in settings.items() if value is not None}
    generator = Path(synthetic.__file__).parent  # its code and its word lists, which decide what is written
    made_by = [
        (file.name, file_digest(file)) for file in sorted(generator.rglob("*")) if file.suffix in (".py", ".txt")
    ]
    path = cache / f"synthetic-{fingerprint({'settings': given, 'made by': made_by})}.txt"

    def build(target: Path) -> dict[str, Any]:
        log.info("generating text")
        count = 0
        with atomic_write(target) as file:
            for example in synthetic.generate(synthetic.SyntheticConfig(**given)):
                file.write(render(example.document) + b"\n")
                count += 1
        return {"documents": count}

    cached_file(path, build)
    return path


def _hub_file(settings: Mapping[str, Any], cache: Path) -> Path:
    from lai.data.hub import save_hub_documents

    path = cache / f"hub-{fingerprint({'settings': settings, 'version': _HUB_VERSION})}.jsonl.gz"
    cached_file(path, lambda target: save_hub_documents(target, **settings))
    return path


def _trained_vocab(data: "DataSettings", files: list[Path], cache: Path) -> Path:
    settings = {
        "version": _VOCAB_VERSION,
        "files": [(str(file.name), file_digest(file)) for file in files],
        "vocab_size": data.vocab_size,
        "min_freq": data.min_freq,
    }
    path = cache / f"vocab-{fingerprint(settings)}.bin"

    def build(target: Path) -> dict[str, Any]:
        log.info("building a vocabulary of up to %s tokens", f"{data.vocab_size:,}")
        Vocab.train(contents(files, CorpusCounts()), data.vocab_size, data.min_freq).save(target)
        return {}

    cached_file(path, build)
    return path


def contents(files: list[Path], counts: CorpusCounts) -> Iterator[bytes]:
    """What is said in all documents, without markup: the text that a vocabulary is trained on; shows its progress."""
    shown = 0
    with progress("reading the text", sum(file.stat().st_size for file in files)) as show:
        for document in read_documents(files, counts):
            for turn in document:
                yield turn.content
            if counts.bytes_read != shown:
                shown = counts.bytes_read
                show(shown)
