"""Findings across texts: near-duplicates, validation text that is trained on, and documents in third languages."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lai.data.quality.counting import Sample
from lai.data.quality.duplicates import hashes_of
from lai.data.quality.findings import Finding, Verdict
from lai.data.quality.near import is_installed, near_copies, signatures
from lai.data.quality.text_batches import batch_of, location
from lai.data.sources.chunks import read_in_chunks
from lai.data.sources.reading import DEFAULT_READING, Reading
from lai.data.sources.streams import CorpusCounts
from lai.tokenizer.folding import fold_texts

_SIGNED_BYTES = 8 << 20
_MANY_NEAR = 0.3  # share of near-duplicates from which on they are a warning
_MANY_FOREIGN = 0.02
_MAX_PLACES = 5
_INSTALL = "rensa is not installed: pip install 'lai[data]'"


def near_duplicates(sample: Sample, place: Callable[[int], str]) -> Finding:
    """Documents that share about three of four words with an earlier one; `place` names a document by its number."""
    check, expected = "near-duplicates", f"less than {_MANY_NEAR:.0%} of the documents"
    if not is_installed():
        return Finding(check, "ok", f"not looked for; {_INSTALL}", expected)
    chosen, step = _bounded(sample)
    different = list({text: number for number, text in reversed(chosen)}.items())[::-1]
    indices, table = signatures([text for text, _ in different])
    found = near_copies(table)
    share = float(found.sum()) / max(1, len(different))
    places = [place(different[index][1]) for index in indices[found][:_MAX_PLACES]]
    return Finding(
        check,
        "warning" if share >= _MANY_NEAR else "ok",
        f"{int(found.sum()):,} of {len(different):,} different documents{_of_every(step)}",
        expected,
        places,
        "leave out all but one of texts that are nearly equal" if share >= _MANY_NEAR else "",
    )


def _bounded(sample: Sample) -> tuple[list[tuple[int, bytes]], int]:
    """An even choice of the sample, of bounded size, and which share of all documents it is: one in so many."""
    size = sum(len(text) for _, text in sample.documents)
    step = max(1, -(-size // _SIGNED_BYTES))
    return sample.documents[::step], step * sample.step


def _of_every(step: int) -> str:
    return "" if step == 1 else f", looked for in one of {step} documents"


class Validation:
    """The texts to validate with, and which of them the text to train on holds.

    Args:
        files: the files to validate with.
        reading: how rows are read.
    """

    def __init__(self, files: Sequence[Path], reading: Reading = DEFAULT_READING) -> None:
        self._read_files = partial(read_in_chunks, files, CorpusCounts(), reading)
        self._sample = Sample()
        self._files: list[tuple[int, Path]] = []  # each file, and how many texts were before it
        self._is_read = False
        self._numbers = np.zeros(0, np.int64)
        self._hashes = np.zeros(0, np.uint64)
        self._found = np.zeros(0, np.bool_)

    def _read(self) -> None:
        """Read the files, at the first use."""
        if self._is_read:
            return
        self._is_read = True
        hashes = [self._hashes]
        numbers = [self._numbers]
        count = 0
        for chunk in self._read_files():
            batch = batch_of(chunk)
            if not self._files or self._files[-1][1] != batch.file:
                self._files.append((count, batch.file))
            filled = [index for index, text in enumerate(batch.texts) if text.strip()]
            texts = [batch.texts[index] for index in filled]
            numbers.append(batch.numbers[filled])
            hashes.append(hashes_of(fold_texts(texts)))
            self._sample.add(texts, count, numbers[-1])
            count += len(texts)
        self._numbers = np.concatenate(numbers)
        self._hashes = np.concatenate(hashes)
        self._found = np.zeros(count, np.bool_)

    def add(self, hashes: NDArray[np.uint64]) -> None:
        """Look for the next texts to train on, by `hashes_of` their folded forms."""
        self._read()
        if len(self._found):
            self._found |= np.isin(self._hashes, hashes)

    def finding(self, sample: Sample) -> Finding:
        """How many documents to validate with are in the text to train on, and how many near copies in its sample."""
        self._read()
        check, expected = "validation text in training", "no document: val/loss says nothing about text that is known"
        count, near = int(self._found.sum()), ""
        also = np.zeros(0, np.int64)
        if is_installed():
            (trained, step), (texts, own_step) = _bounded(sample), _bounded(self._sample)
            _, first = signatures([text for _, text in trained])
            indices, second = signatures([text for _, text in texts])
            copies = near_copies(np.concatenate((first, second)), among=len(first))[len(first) :]
            signed = np.array([number for number, _ in texts], np.int64)[indices]
            also = signed[copies & ~self._found[signed]]
            near = f", {len(also):,} more nearly{_of_every(step * own_step)}"
        else:
            near = f"; near copies are not looked for, {_INSTALL}"
        told = np.sort(np.concatenate((np.flatnonzero(self._found), also)))
        places = [self._place(index) for index in told[:_MAX_PLACES].tolist()]
        verdict: Verdict = "error" if len(told) >= max(3, 0.01 * len(self._found)) else "warning" if len(told) else "ok"
        remedy = "leave these documents out of one of the two" if len(told) else ""
        found = f"{count:,} of {len(self._found):,} documents{near}"
        return Finding(check, verdict, found, expected, places, remedy)

    def _place(self, index: int) -> str:
        file = next(file for before, file in reversed(self._files) if before <= index)
        return location(file, int(self._numbers[index]))


def third_languages(sizes: Counter[str], places: Iterable[str]) -> Finding:
    """Documents that are neither Hungarian nor English, by the bytes of each language."""
    check, expected = "third languages", f"less than {_MANY_FOREIGN:.0%}: Hungarian and English"
    others = {name: size for name, size in sizes.items() if name not in ("hu", "en", "other")}
    share = sum(others.values()) / max(1, sizes.total())
    most = sorted(others.items(), key=lambda entry: -entry[1])[:_MAX_PLACES]
    named = ", ".join(f"{name} {size / max(1, sizes.total()):.1%}" for name, size in most)
    if share < _MANY_FOREIGN:
        return Finding(check, "ok", f"{share:.1%}", expected)
    remedy = "leave documents in other languages out"
    return Finding(check, "warning", f"{share:.1%}: {named}", expected, list(places)[:_MAX_PLACES], remedy)
