"""Files whose documents are mended and written again: what `lai-clean-data` and `data.clean` share."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lai.data.cache import cached_file, fingerprint
from lai.data.quality.text_batches import location
from lai.data.sources.files import in_batches, read_file
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

    def lines(self) -> Iterator[str]:
        """The report, a line a reason."""
        yield f"{self.changed:,} of {self.documents:,} documents changed"
        for kind, count in self.kinds.most_common():
            yield f"  {kind}: {count:,}"


def clean_documents(
    files: Iterable[Path],
    report: Cleaned,
    swap: bool = False,
    show: Callable[[str, Document, Document], None] | None = None,
) -> Iterator[Document]:
    """The documents of files, mended; documents without text are left out.

    Args:
        report: is filled while reading.
        swap: the files have Hungarian first; no pair is judged by itself then.
        show: gets each changed document with its place, before and after.

    Raises:
        UserError: a file cannot be read as what its ending says.
    """
    for file in files:
        numbers: list[int] = []
        for batch in in_batches(_numbered(file, numbers)):
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


def _numbered(file: Path, numbers: list[int]) -> Iterator[Document]:
    for number, document in read_file(file, CorpusCounts()):
        numbers.append(number)
        yield document


def cleaned_files(files: Sequence[Path], cache: Path, tell: Callable[[str], None]) -> list[Path]:
    """Each file cleaned, as a `.jsonl` in the cache, made once; `tell` gets what was changed."""
    made = []
    for file in files:
        settings = {"version": VERSION, "name": file.name, "sha256": file_digest(file)}
        path = cache / f"cleaned-{file.name.split('.')[0]}-{fingerprint(settings)}.jsonl"
        facts = cached_file(path, lambda target, file=file: _write(file, target))  # type: ignore[misc]
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in facts["kinds"].items())
        tell(
            f"data.clean: {facts['changed']:,} of {facts['documents']:,} documents of {file} changed: {kinds or 'none'}"
        )
        made.append(path)
    return made


def _write(file: Path, target: Path) -> dict[str, object]:
    report = Cleaned()
    with atomic_write(target) as output:
        output.writelines(json_line(document) for document in clean_documents([file], report))
    return {"documents": report.documents, "changed": report.changed, "kinds": dict(report.kinds.most_common())}
