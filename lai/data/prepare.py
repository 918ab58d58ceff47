"""From data settings to what training reads: documents, then a vocabulary, then token files, each made once."""

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lai.data.cache import cached_file, fingerprint
from lai.data.languages import languages_of
from lai.data.mixture import joined_quality, joined_token_files, naming, settings_of
from lai.data.quality.report import CountingPass, Quality, examine
from lai.data.sources.chunks import Chunk, read_in_chunks
from lai.data.sources.kinds import printable
from lai.data.sources.reading import DEFAULT_READING, Reading
from lai.data.sources.recognition import recognize
from lai.data.sources.streams import CorpusCounts
from lai.data.texts import Text, text_of
from lai.data.tokens.build import TokenFiles, prepare_token_files
from lai.host.errors import UserError
from lai.host.files import atomic_write, file_digest, with_home
from lai.host.progress import progress
from lai.host.workers import IN_PROCESS, Workers, available_cores
from lai.tokenizer.folding import fold_texts
from lai.tokenizer.train import Blocks, Sample, cut_into_blocks, train_on_sample
from lai.tokenizer.vocab import Vocab

if TYPE_CHECKING:
    from lai.config.schema import DataSettings, SourceSettings

log = logging.getLogger(__name__)

_VOCAB_VERSION = 2
_QUALITY_VERSION = 5
_MIN_BYTES_FOR_WORKERS = 8 << 20


@dataclass(frozen=True)
class Corpus:
    """What a run reads: where its text lies, its vocabulary, its token files; of all its sources as of one.

    Args:
        sources: those of `data.sources`, in their order; none without it.
    """

    files: list[Path]
    val_files: list[Path]
    vocab: Vocab
    vocab_path: Path
    token_files: TokenFiles
    quality: Quality
    floor: "ValidationFloor | None" = None
    sources: "tuple[SourceCorpus, ...]" = ()


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


@dataclass(frozen=True)
class SourceCorpus:
    """What a run reads of one source.

    Args:
        settings: the `data` settings of this source alone.
        weight, passes: as `lai.data.tokens.mixing.MixedSource`; None: by its size.
        languages: of each document to validate with, (documents,), as `lai.data.languages` numbers them.
    """

    name: str
    settings: "DataSettings"
    files: list[Path]
    val_files: list[Path]
    token_files: TokenFiles
    quality: Quality
    floor: ValidationFloor | None
    weight: float | None
    passes: float | None
    languages: NDArray[np.int8]


def prepare_corpus(data: "DataSettings", load_vocab: Callable[[Path], Vocab] = Vocab.load) -> Corpus:
    """Make or find everything that the `data` group asks for; what has not changed since it was made is used again.

    Args:
        load_vocab: reads `data.vocab_path`; `lai.export.vocab_file.load_vocab` takes model files, too.

    Raises:
        UserError: no such file, nothing to read, or something in the files that cannot be read.
    """
    cache = with_home(data.cache_dir)
    if data.sources is not None:
        return _prepare_mixture(data, data.sources, cache, load_vocab)
    text = text_of(data, cache)
    with workers_for([*text.files, *text.val_files]) as workers, _counting(text) as counted:
        vocab_path = _vocab_path(data, [text], cache, workers)
        vocab = load_vocab(vocab_path)
        token_files, quality = _prepared(data, text, vocab, cache, workers, counted)
    return Corpus(text.files, text.val_files, vocab, vocab_path, token_files, quality, _floor(text, token_files))


def _prepare_mixture(
    data: "DataSettings",
    sources: "Mapping[str, SourceSettings]",
    cache: Path,
    load_vocab: Callable[[Path], Vocab],
) -> Corpus:
    """One vocabulary of all sources; token files of each, which know nothing of the others and of weights."""
    settings = {name: settings_of(data, source) for name, source in sources.items()}
    texts: dict[str, Text] = {}
    for name, own in settings.items():
        with naming(name):
            texts[name] = replace(text_of(own, cache), source=name)
    corpora: list[SourceCorpus] = []
    with workers_for([file for text in texts.values() for file in (*text.files, *text.val_files)]) as workers:
        vocab_path = _vocab_path(data, list(texts.values()), cache, workers)
        vocab = load_vocab(vocab_path)
        for name, text in texts.items():
            with naming(name), _counting(text) as counted:
                token_files, quality = _prepared(settings[name], text, vocab, cache, workers, counted)
            source = sources[name]
            passes = data.max_epochs if source.max_epochs is None else source.max_epochs
            corpora.append(
                SourceCorpus(
                    name,
                    settings[name],
                    text.files,
                    text.val_files,
                    token_files,
                    quality,
                    _floor(text, token_files),
                    source.weight,
                    math.inf if passes == -1 else passes,
                    languages_of(token_files, vocab, cache, source.language),
                )
            )
    return Corpus(
        [file for source in corpora for file in source.files],
        [file for source in corpora for file in source.val_files],
        vocab,
        vocab_path,
        joined_token_files([source.token_files for source in corpora]),
        joined_quality({source.name: source.quality for source in corpora}),
        sources=tuple(corpora),
    )


def _counting(text: Text) -> CountingPass:
    return CountingPass(text.reading, _compared(text))


def _compared(text: Text) -> list[Path]:
    """The files to validate with that are looked for in the text to train on.

    Generated documents occur as often as they are probable, in the text to train on, too.
    """
    return [] if text.val_nats is not None else text.val_files


def _prepared(
    data: "DataSettings", text: Text, vocab: Vocab, cache: Path, workers: Workers, counted: CountingPass
) -> tuple[TokenFiles, Quality]:
    """The token files of a text, and the report on it."""
    token_files = prepare_token_files(
        text.files,
        vocab,
        cache,
        val_fraction=data.val_fraction,
        split_seed=data.split_seed,
        val_paths=text.val_files or None,
        reading=text.reading,
        workers=workers,
        counting=counted.counting,
    )
    return token_files, _quality(text, vocab, token_files, cache, workers, counted)


def _quality(
    text: Text,
    vocab: Vocab,
    token_files: TokenFiles,
    cache: Path,
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
        "validation": list(map(printable, _compared(text))),
        "extras": [name for name in ("rensa", "lingua") if find_spec(name)],
        "version": _QUALITY_VERSION,
    }
    path = cache / f"quality-{fingerprint(settings)}.json"

    def build(target: Path) -> dict[str, Any]:
        if counted.counting.totals["lines"]:
            report = counted.report(text.files, vocab, text.left_out, workers)
        else:
            report = examine(
                text.files,
                vocab,
                left_out=text.left_out,
                reading=text.reading,
                val_files=_compared(text),
                workers=workers,
            )
        with atomic_write(target) as file:
            file.write(report.to_json())
        return {}

    cached_file(path, build)
    try:
        return Quality.from_json(path.read_bytes())
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"{path} is not a report on text, though its sidecar says so; remove it") from None


def _floor(text: Text, token_files: TokenFiles) -> ValidationFloor | None:
    if text.val_nats is None:
        return None
    val = token_files.stats.val
    predictions = val.tokens - val.documents  # a document's BOS is given
    return ValidationFloor(text.val_nats / predictions, text.val_nats / math.log(2) / val.bytes)


def workers_for(files: Sequence[Path]) -> Workers:
    """A worker process for each core, or none for a text that is prepared before they have started."""
    size = sum(file.stat().st_size for file in files)
    return Workers(available_cores() if size >= _MIN_BYTES_FOR_WORKERS else 1)


def _vocab_path(data: "DataSettings", texts: Sequence[Text], cache: Path, workers: Workers) -> Path:
    """The vocabulary that is given, or one of what all texts say: each has the share of its size in it."""
    if data.vocab_path:
        return with_home(data.vocab_path)
    made_of = [_made_of(text) for text in texts]
    # The order of sources makes no other vocabulary, so it does not give it another name.
    made_of, texts = zip(*sorted(zip(made_of, texts, strict=True), key=lambda pair: json.dumps(pair[0])), strict=True)
    settings: dict[str, Any] = {
        "version": _VOCAB_VERSION,
        "vocab_size": data.vocab_size,
        "min_freq": data.min_freq,
    }
    settings |= made_of[0] if len(made_of) == 1 else {"texts": made_of}
    path = cache / f"vocab-{fingerprint(settings)}.bin"

    def build(target: Path) -> dict[str, Any]:
        log.info("building a vocabulary of up to %s tokens", f"{data.vocab_size:,}")
        sample = Sample()
        for text in texts:
            with naming(text.source):
                sample_text(text.files, CorpusCounts(), text.reading, workers, sample)
        train_on_sample(sample, data.vocab_size, data.min_freq, workers)[0].save(target)
        return {}

    cached_file(path, build)
    return path


def _made_of(text: Text) -> dict[str, Any]:
    """What a vocabulary of a text depends on."""
    settings: dict[str, Any] = {"files": [(str(file.name), file_digest(file)) for file in text.files]}
    settings |= text.reading.recorded()
    with naming(text.source):
        formats = [recognize(file, text.reading).since for file in text.files]
    return settings | ({"formats": formats} if any(formats) else {})


def sample_text(
    files: Sequence[Path],
    counts: CorpusCounts,
    reading: Reading = DEFAULT_READING,
    workers: Workers = IN_PROCESS,
    sample: Sample | None = None,
) -> Sample:
    """The sample that a vocabulary is trained on, of what is said in all documents, without markup; shows its progress.

    Args:
        counts: updated while reading.
        reading: how rows become documents, and whether their text is folded.
        sample: of other texts, to which these are added.
    """
    sample = sample or Sample()
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
