"""The lengths of documents as a picture."""

from pathlib import Path

import numpy as np

from lai.host.files import atomic_write
from lai.host.pictures import pyplot


def draw_histogram(lengths: list[int], path: Path) -> None:
    """Write a PNG of the documents' lengths on a logarithmic axis.

    Args:
        lengths: how many documents have 0, 1, 2, … characters.

    Raises:
        UserError: matplotlib is not installed, or `path` cannot be written.
    """
    plt = pyplot()
    values = np.arange(len(lengths))
    shortest = next((value for value, count in enumerate(lengths) if value and count), 1)
    edges = np.unique(np.geomspace(shortest, max(shortest + 1, len(lengths)), 60).astype(int))
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    axes.hist(values, bins=[*edges.tolist(), edges[-1] + 1], weights=lengths)
    axes.set(xscale="log", xlabel="characters a document", ylabel="documents")
    axes.grid(alpha=0.3)
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=120)
