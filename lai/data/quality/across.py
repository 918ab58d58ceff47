"""Findings across texts: near-duplicates, validation text that is trained on, and documents in third languages."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lai.data.quality.findings import Finding, Verdict
from lai.data.quality.near import is_installed, near_copies, signatures
from lai.data.quality.text_batches import location, text_batches
from lai.data.sources.streams import CorpusCounts

_SIGNED_BYTES = 8 << 20
_MANY_NEAR = 0.3  # share of near-duplicates from which on they are a warning
_MANY_FOREIGN = 0.02
_MAX_PLACES = 5
_INSTALL = "rensa is not installed: pip install 'lai[data]'"
Sampled = Sequence[tuple[int, bytes]]


def near_duplicates(sample: Sampled, place: Callable[[int], str]) -> Finding:
    """Documents that share about three of four words with an earlier one; `place` names a document by its number."""
    check, expected = "near-duplicates", f"less than {_MANY_NEAR:.0%} of the documents"
    if not is_installed():
        return Finding(check, "ok", f"not looked for; {_INSTALL}", expected)
    chosen = _first_bytes(sample)
    different = list({text: number for number, text in reversed(chosen)}.items())[::-1]
    indices, table = signatures([text for text, _ in different])
    found = near_copies(table)
    share = float(found.sum()) / max(1, len(different))
    places = [place(different[index][1]) for index in indices[found][:_MAX_PLACES]]
    return Finding(
        check,
        "warning" if share >= _MANY_NEAR else "ok",
        f"{int(found.sum()):,} of {len(different):,} different documents",
        expected,
        places,
        "leave out all but one of texts that are nearly equal" if share >= _MANY_NEAR else "",
    )


def _first_bytes(sample: Sampled) -> list[tuple[int, bytes]]:
    """An even choice of the sample, of bounded size."""
    size = sum(len(text) for _, text in sample)
    return list(sample[:: max(1, -(-size // _SIGNED_BYTES))])


class Validation:
    """The texts to validate with, and which of them the text to train on holds.

    Args:
        files: the files to validate with.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._texts: list[bytes] = []
        self._places: list[tuple[Path, int]] = []
        for batch in text_batches(files, CorpusCounts()):
            for number, text in zip(batch.numbers.tolist(), batch.texts, strict=True):
                if text.strip():
                    self._texts.append(text)
                    self._places.append((batch.file, number))
        self._hashes = _hashes(self._texts)
        self._found = np.zeros(len(self._texts), np.bool_)

    def add(self, texts: Sequence[bytes]) -> None:
        """Look for the next texts to train on."""
        if len(self._texts):
            self._found |= np.isin(self._hashes, _hashes(texts))

    def finding(self, sample: Sampled) -> Finding:
        """How many documents to validate with are in the text to train on, and how many near copies in its sample."""
        check, expected = "validation text in training", "no document: val/loss says nothing about text that is known"
        count, near = int(self._found.sum()), ""
        if is_installed():
            trained = [text for _, text in _first_bytes(sample)]
            _, first = signatures(trained)
            indices, second = signatures(self._texts)
            copies = near_copies(np.concatenate((first, second)), among=len(first))[len(first) :]
            also = indices[copies & ~self._found[indices]]
            near = f", {len(also):,} more nearly"
        else:
            also, near = np.zeros(0, np.int64), f"; near copies are not looked for, {_INSTALL}"
        told = np.sort(np.concatenate((np.flatnonzero(self._found), also)))
        places = [location(*self._places[index]) for index in told[:_MAX_PLACES]]
        verdict: Verdict = "error" if len(told) >= max(3, 0.01 * len(self._texts)) else "warning" if len(told) else "ok"
        remedy = "leave these documents out of one of the two" if len(told) else ""
        found = f"{count:,} of {len(self._texts):,} documents{near}"
        return Finding(check, verdict, found, expected, places, remedy)


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


def _hashes(texts: Sequence[bytes]) -> NDArray[np.int64]:
    return np.fromiter(map(hash, texts), np.int64, len(texts))
