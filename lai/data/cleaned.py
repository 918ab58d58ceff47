"""Files whose documents are mended and written again: what `lai-clean-data` and `data.clean` share."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lai.data.cache import cached_file, fingerprint
from lai.data.quality.text_batches import location
from lai.data.sources.files import in_batches, read_file
from lai.data.sources.formats.moses import partner
from lai.data.sources.kinds import ENGLISH_FILE, HUNGARIAN_FILE, kind_of
from lai.data.sources.reading import DEFAULT_READING, Reading
from lai.data.sources.serialize import json_line
from lai.data.sources.streams import CorpusCounts
from lai.data.text.mend import VERSION, mend_documents, swap_pair
from lai.host.files import atomic_write, file_digest
from lai.tokenizer.chat import Document


@dataclass
class Cleaned:
    """What cleaning changed."""

    documents: int = 0
    changed: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    """How many texts were changed for each reason."""
    counts: CorpusCounts = field(default_factory=CorpusCounts)
    """What reading left out."""

    def lines(self) -> Iterator[str]:
        """The report, a line a reason."""
        yield f"{self.changed:,} of {self.documents:,} documents changed"
        for kind, count in self.kinds.most_common():
            yield f"  {kind}: {count:,}"
        if self.counts.skipped:
            yield f"{self.counts.skipped:,} lines or rows without a whole pair are left out"
        if self.counts.bad_rows:
            yield f"{self.counts.bad_rows:,} faulty rows are left out: {', '.join(self.counts.bad_places)}"


def clean_documents(
    files: Iterable[Path],
    report: Cleaned,
    reading: Reading = DEFAULT_READING,
    *,
    swap: bool = False,
    show: Callable[[str, Document, Document], None] | None = None,
) -> Iterator[Document]:
    """The documents of files, mended; documents without text are left out.

    Args:
        report: is filled while reading.
        reading: how rows are read.
        swap: the files have Hungarian first; no pair is judged by itself then.
        show: gets each changed document with its place, before and after.

    Raises:
        UserError: a file cannot be read as what its ending says, or a row is faulty and `reading` does not skip it.
    """
    for file in files:
        numbers: list[int] = []
        for batch in in_batches(_numbered(file, report.counts, reading, numbers)):
            turned = [swap_pair(document) for document in batch] if swap else batch
            mended = mend_documents(turned, report.kinds)
            for number, before, after in zip(numbers, batch, mended, strict=True):
                report.documents += 1
                if after != before:
                    report.changed += 1
                    if show is not None:
                        show(location(file, number), before, after)
                if any(turn.content.strip() for turn in after):
                    yield after
            numbers.clear()


def _numbered(file: Path, counts: CorpusCounts, reading: Reading, numbers: list[int]) -> Iterator[Document]:
    for number, document in read_file(file, counts, reading):
        numbers.append(number)
        yield document


def cleaned_files(
    files: Sequence[Path], cache: Path, tell: Callable[[str], None], reading: Reading = DEFAULT_READING
) -> list[Path]:
    """Each file cleaned, as a `.jsonl` of LAi's own rows in the cache, made once; `tell` gets what was changed.

    Of a pair of files such as `x.en` and `x.hu`, one file is made.
    """
    made = []
    for file in files:
        if kind_of(file) == HUNGARIAN_FILE:
            continue
        read = [file, *([other] if kind_of(file) == ENGLISH_FILE and (other := partner(file)) else [])]
        settings = {
            "version": VERSION,
            "name": file.name,
            "sha256": [file_digest(part) for part in read],
            "reading": reading.identity(),
        }
        path = cache / f"cleaned-{file.name.split('.')[0]}-{fingerprint(settings)}.jsonl"
        facts = cached_file(path, lambda target, file=file: _write(file, target, reading))  # type: ignore[misc]
        tell(f"data.clean: {file}: {facts['report']}")
        made.append(path)
    return made


def _write(file: Path, target: Path, reading: Reading) -> dict[str, str]:
    report = Cleaned()
    with atomic_write(target) as output:
        output.writelines(json_line(document) for document in clean_documents([file], report, reading))
    return {"report": "; ".join(map(str.strip, report.lines()))}
