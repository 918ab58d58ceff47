"""From data settings to what training reads: documents, then a vocabulary, then token files, each made once."""

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lai.config.setting import SettingError
from lai.data.cache import cached_file, fingerprint
from lai.data.cleaned import cleaned_files
from lai.data.quality.report import CountingPass, Quality, examine
from lai.data.sources.chunks import Chunk, read_in_chunks
from lai.data.sources.discovery import files_left_out, find_files
from lai.data.sources.kinds import printable
from lai.data.sources.reading import DEFAULT_READING, Reading
from lai.data.sources.recognition import recognize
from lai.data.sources.streams import CorpusCounts
from lai.data.tokens.build import TokenFiles, prepare_token_files
from lai.data.tokens.splits import SplitStats
from lai.host.errors import UserError
from lai.host.files import atomic_write, file_digest, with_home
from lai.host.progress import progress
from lai.host.workers import IN_PROCESS, Workers, available_cores
from lai.tokenizer.chat import render
from lai.tokenizer.folding import fold_texts
from lai.tokenizer.train import Blocks, Sample, cut_into_blocks, train_on_sample
from lai.tokenizer.vocab import Vocab

if TYPE_CHECKING:
    from lai.config.schema import DataSettings
    from lai.data.synthetic import Example, SyntheticConfig

log = logging.getLogger(__name__)

_VOCAB_VERSION = 2
_QUALITY_VERSION = 5
_MIN_BYTES_FOR_WORKERS = 8 << 20


@dataclass(frozen=True)
class Corpus:
    """What a run reads: where its text lies, its vocabulary, its token files."""

    files: list[Path]
    val_files: list[Path]
    vocab: Vocab
    vocab_path: Path
    token_files: TokenFiles
    quality: Quality
    floor: "ValidationFloor | None" = None


@dataclass(frozen=True)
class ValidationFloor:
    """The generator's own loss on the documents to validate with, of which it knows each one's probability.

    A model that has learnt all there is to learn has it on average; the difference is what is left to gain.

    Args:
        loss: nats a token, as `val/loss`.
        bpb: bits a byte, as `val/bpb`.
    """

    loss: float
    bpb: float


def prepare_corpus(data: "DataSettings", load_vocab: Callable[[Path], Vocab] = Vocab.load) -> Corpus:
    """Make or find everything that the `data` group asks for; what has not changed since it was made is used again.

    Args:
        load_vocab: reads `data.vocab_path`; `lai.export.vocab_file.load_vocab` takes model files, too.

    Raises:
        UserError: no such file, nothing to read, or something in the files that cannot be read.
    """
    cache = with_home(data.cache_dir)
    reading = _reading(data)
    text = _text(data, cache, reading)
    if data.clean and (data.path is not None or data.source == "hub"):  # generated text has no damage
        text, reading = _cleaned(text, cache, reading)
    # Generated documents occur as often as they are probable, in the text to train on, too.
    val_files = [] if text.val_nats is not None else text.val_files
    with workers_for([*text.files, *text.val_files]) as workers, CountingPass(reading, val_files) as counted:
        if data.vocab_path:
            vocab_path = with_home(data.vocab_path)
        else:
            vocab_path = _trained_vocab(data, text.files, cache, reading, workers)
        vocab = load_vocab(vocab_path)
        token_files = prepare_token_files(
            text.files,
            vocab,
            cache,
            val_fraction=data.val_fraction,
            split_seed=data.split_seed,
            val_paths=text.val_files or None,
            reading=reading,
            workers=workers,
            counting=counted.counting,
        )
        quality = _quality(text, val_files, vocab, token_files, cache, reading, workers, counted)
    floor = None if text.val_nats is None else _floor(text.val_nats, token_files.stats.val)
    return Corpus(text.files, text.val_files, vocab, vocab_path, token_files, quality, floor)


def _reading(data: "DataSettings") -> Reading:
    """How the rows of `data.path` are read; text that is generated or fetched is in LAi's own form."""
    if data.path is None:
        for name in ("columns", "template"):
            if getattr(data, name) is not None:
                raise UserError(f"data.{name} is for data.path; with data=hub it is data.hub.{name}")
        return Reading(normalize=data.normalize, max_unpacked=data.max_unpacked)
    return Reading(data.columns, data.template, data.bad_rows, data.normalize, data.max_unpacked)


@dataclass(frozen=True)
class _Text:
    """The files to train on, those to validate with (none: a share is chosen), and the -log p of all in them.

    `left_out` counts what else there is where the files were looked for, by ending.
    """

    files: list[Path]
    val_files: list[Path]
    val_nats: float | None = None
    left_out: dict[str, int] = field(default_factory=dict)


def _text(data: "DataSettings", cache: Path, reading: Reading) -> _Text:
    """The text that is given, generated or fetched."""
    val_files = [] if data.val_path is None else find_files(data.val_path, reading)
    if data.path is not None:
        held_back = {file.resolve() for file in val_files}
        files = [file for file in find_files(data.path, reading) if file.resolve() not in held_back]
        if not files:
            raise UserError(
                f"data.path={data.path} names no file besides those of data.val_path; nothing is left to train on"
            )
        return _Text(files, val_files, left_out=files_left_out(data.path, reading))
    if data.source == "hub" and data.hub is not None:
        return _Text(_hub_files(asdict(data.hub), cache), val_files)
    if data.source != "synthetic" or data.synthetic is None:
        raise UserError(f"data.{data.source} is missing; data.source={data.source} needs its settings or a data.path")
    from lai.data.synthetic import SyntheticConfig

    try:
        config = SyntheticConfig(**asdict(data.synthetic))
    except SettingError as error:
        raise UserError(f"data.synthetic.{error}") from None
    files = [_synthetic_file(config, cache)]
    if val_files:
        return _Text(files, val_files)
    drawn, nats = _drawn_file(config, data.val_fraction, cache)
    return _Text(files, [drawn], nats)


def _cleaned(text: _Text, cache: Path, reading: Reading) -> tuple[_Text, Reading]:
    """The text mended, in files of LAi's own rows, and how those are read."""
    files, val_files = (cleaned_files(part, cache, log.info, reading) for part in (text.files, text.val_files))
    return replace(text, files=files, val_files=val_files), Reading(normalize=reading.normalize)


def _quality(
    text: _Text,
    val_files: list[Path],
    vocab: Vocab,
    token_files: TokenFiles,
    cache: Path,
    reading: Reading,
    workers: Workers,
    counted: CountingPass,
) -> Quality:
    """The report on the text that is trained on; it depends on what the token files do, and names the files.

    The text is read for it only if it was not counted when the token files were built.
    """
    settings = {
        "shards": token_files.folder.name,
        "files": list(map(printable, text.files)),
        "left out": text.left_out,
        "validation": list(map(printable, val_files)),
        "extras": [name for name in ("rensa", "lingua") if find_spec(name)],
        "version": _QUALITY_VERSION,
    }
    path = cache / f"quality-{fingerprint(settings)}.json"

    def build(target: Path) -> dict[str, Any]:
        if counted.counting.totals["lines"]:
            report = counted.report(text.files, vocab, text.left_out, workers)
        else:
            report = examine(
                text.files, vocab, left_out=text.left_out, reading=reading, val_files=val_files, workers=workers
            )
        with atomic_write(target) as file:
            file.write(report.to_json())
        return {}

    cached_file(path, build)
    try:
        return Quality.from_json(path.read_bytes())
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"{path} is not a report on text, though its sidecar says so; remove it") from None


def _floor(nats: float, val: SplitStats) -> ValidationFloor:
    predictions = val.tokens - val.documents  # a document's BOS is given
    return ValidationFloor(nats / predictions, nats / math.log(2) / val.bytes)


def _synthetic_file(config: "SyntheticConfig", cache: Path) -> Path:
    """The text to train on."""
    from lai.data.synthetic import generate

    path = cache / f"synthetic-{_fingerprint_of_generated(config)}.txt"
    cached_file(path, lambda target: _write_examples(target, generate(config)))
    return path


def _drawn_file(config: "SyntheticConfig", fraction: float, cache: Path) -> tuple[Path, float]:
    """The text to validate with, and the sum of its documents' -log p in nats."""
    from lai.data.synthetic import draw

    count = math.ceil(fraction * config.documents)
    path = cache / f"synthetic-{_fingerprint_of_generated(config, drawn=count)}.txt"
    facts = cached_file(path, lambda target: _write_examples(target, draw(config, count, config.seed)))
    return path, facts["nats"]


def _fingerprint_of_generated(config: "SyntheticConfig", **settings: Any) -> str:
    from lai.data import synthetic

    generator = Path(synthetic.__file__).parent  # its code and its word lists, which decide what is written
    made_by = [
        (file.name, file_digest(file)) for file in sorted(generator.rglob("*")) if file.suffix in (".py", ".txt")
    ]
    return fingerprint({"settings": asdict(config), "made by": made_by} | settings)


def _write_examples(path: Path, examples: Iterable["Example"]) -> dict[str, Any]:
    log.info("generating text")
    count, nats = 0, 0.0
    with atomic_write(path) as file:
        for example in examples:
            file.write(render(example.document) + b"\n")
            count += 1
            nats -= example.log_prob
    return {"documents": count, "nats": nats}


def _hub_files(settings: Mapping[str, Any], cache: Path) -> list[Path]:
    """The text of the data sets, a file each."""
    from lai.data.sources.catalog import choose_sets
    from lai.data.sources.hub import HubSource, fetch

    size, rows = settings["size"], settings["rows"]
    own = {key: value for key, value in settings.items() if key not in ("size", "rows")}
    if own["name"] is None:
        plain = asdict(HubSource())
        if meant := [key for key, value in own.items() if key != "name" and value != plain[key]]:
            raise UserError(f"data.hub.{meant[0]} is for a data set of your own, but data.hub.name is missing")
        sources = choose_sets(size, rows or {})
    else:
        if rows:
            raise UserError("data.hub.rows is for the known data sets; with data.hub.name it is data.hub.limit")
        sources = {"hub": HubSource(**own)}
    paths = []
    for name, source in sources.items():
        path = cache / f"{name}-{fingerprint(source.identity())}.jsonl"
        cached_file(path, lambda target, source=source: asdict(fetch(source, target)))  # type: ignore[misc]
        paths.append(path)
    return paths


def workers_for(files: Sequence[Path]) -> Workers:
    """A worker process for each core, or none for a text that is prepared before they have started."""
    size = sum(file.stat().st_size for file in files)
    return Workers(available_cores() if size >= _MIN_BYTES_FOR_WORKERS else 1)


def _trained_vocab(data: "DataSettings", files: list[Path], cache: Path, reading: Reading, workers: Workers) -> Path:
    settings: dict[str, Any] = {
        "version": _VOCAB_VERSION,
        "files": [(str(file.name), file_digest(file)) for file in files],
        "vocab_size": data.vocab_size,
        "min_freq": data.min_freq,
    }
    settings |= reading.recorded()
    formats = [recognize(file, reading).since for file in files]
    if any(formats):
        settings["formats"] = formats
    path = cache / f"vocab-{fingerprint(settings)}.bin"

    def build(target: Path) -> dict[str, Any]:
        log.info("building a vocabulary of up to %s tokens", f"{data.vocab_size:,}")
        sample = sample_text(files, CorpusCounts(), reading, workers)
        train_on_sample(sample, data.vocab_size, data.min_freq, workers)[0].save(target)
        return {}

    cached_file(path, build)
    return path


def sample_text(
    files: Sequence[Path],
    counts: CorpusCounts,
    reading: Reading = DEFAULT_READING,
    workers: Workers = IN_PROCESS,
) -> Sample:
    """The sample that a vocabulary is trained on, of what is said in all documents, without markup; shows its progress.

    Args:
        counts: updated while reading.
        reading: how rows become documents, and whether their text is folded.
    """
    sample = Sample()
    calls = ((chunk,) for chunk in read_in_chunks(files, counts, reading))
    with progress("reading the text", sum(file.stat().st_size for file in files)) as show:
        for documents, empty, blocks in workers.map(_blocks_of, calls, reading.normalize):
            sample.add(blocks)
            counts.documents += documents
            counts.empty += empty
            show(counts.bytes_read)
    return sample


def _blocks_of(normalize: bool, chunk: Chunk) -> tuple[int, int, Blocks]:
    """A text chunk's numbers of documents and blank lines, which reading has not counted, and a chunk's blocks."""
    documents = chunk.documents()
    texts = [turn.content for document in documents for turn in document]
    blocks = cut_into_blocks(fold_texts(texts) if normalize else texts)
    if chunk.text is None:
        return 0, 0, blocks
    return len(documents), len(chunk.lines()) - len(documents), blocks
